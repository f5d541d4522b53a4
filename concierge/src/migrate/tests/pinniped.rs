//! Pinniped's objects in our words.

use super::*;

#[test]
fn pinnipeds_objects_keep_what_people_wrote() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "authentication.concierge.pinniped.dev/v1alpha1", "kind": "JWTAuthenticator",
         "metadata": {"name": "corp", "uid": "u", "generation": 3, "resourceVersion": "7", "labels": {"team": "platform"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "ours"}},
         "spec": {"issuer": "https://idp.example.com", "audience": "kubernetes", "claims": {"username": "email"},
            "tls": {"certificateAuthorityDataSource": {"kind": "ConfigMap", "name": "idp-ca", "key": "ca.crt"}}},
         "status": {"phase": "Ready"}},
        {"apiVersion": "authentication.concierge.pinniped.dev/v1alpha1", "kind": "WebhookAuthenticator",
         "metadata": {"name": "corp", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
         "spec": {"endpoint": "https://tokens.example.com/review"}},
        {"apiVersion": "config.concierge.pinniped.dev/v1alpha1", "kind": "CredentialIssuer", "metadata": {"name": "c"},
         "spec": {"impersonationProxy": {"mode": "auto"}}, "status": {"strategies": []}}]}"#;
    let pinniped = with(Direction::FromPinniped(Ours::default()));
    let (ending, output, notes) = run_on(&pinniped, list);
    assert_eq!(ending, Ok(Ending::Well));
    let expected = "\
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata:
  annotations:
    note: ours
  labels:
    team: platform
  name: corp
spec:
  issuer: https://idp.example.com
  audience: kubernetes
  claims:
    username: email
  tls:
    certificateAuthorityDataSource:
      kind: ConfigMap
      name: idp-ca
      key: ca.crt
---
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: WebhookAuthenticator
metadata:
  name: corp
spec:
  endpoint: https://tokens.example.com/review
";
    assert_eq!(without_comments(&output), expected);
    for words in [
        "note: JWTAuthenticator corp: spec.tls.certificateAuthorityDataSource: ConfigMap idp-ca is read from Latchkey's",
        "note: WebhookAuthenticator corp: is asked in TokenReview v1 first",
        "note: CredentialIssuer c: is left out",
    ] {
        assert!(notes.contains(words), "{notes}");
    }
    assert!(output.contains("What Pinniped does otherwise:"), "{output}");

    let proxied =
        list.replace(r#""strategies": []"#, r#""strategies": [{"type": "ImpersonationProxy", "status": "Success"}]"#);
    for proxied in [proxied, list.replace("\"auto\"", "\"enabled\"")] {
        let (ending, output, notes) = run_on(&pinniped, &proxied);
        assert_eq!((ending, output.as_str()), (Ok(Ending::Refused), ""));
        assert!(notes.contains("spec.impersonationProxy: Latchkey has no impersonation proxy yet"), "{notes}");
    }
    for (from, to, words) in [
        ("\"audience\"", "\"audiense\"", "audience: is missing"),
        ("\"endpoint\"", "\"endpiont\"", "missing field `endpoint`"),
        ("\"CredentialIssuer\"", "\"FleetCluster\"", "Pinniped has no such kind"),
    ] {
        let (ending, output, notes) = run_on(&pinniped, &list.replace(from, to));
        let told = ending.err().unwrap_or(notes);
        assert!(told.contains(words) && output.is_empty(), "{to}: {told}");
    }
    let renamed =
        Ours { names: vec!["a".to_owned(), "b".to_owned()], suffix: "example.org".parse().unwrap(), faithful: true };
    let (_, output, _) = run_on(&with(Direction::FromPinniped(renamed)), list);
    for words in
        ["concierge.example.org/v1alpha1", "name: a\n", "name: b\n", "additionalAudiences: Allow", "policy: Allow"]
    {
        assert!(output.contains(words), "{words}: {output}");
    }
}
