//! The `--oidc-` flags of kube-apiserver in our words.

use super::*;

#[test]
fn flags_become_one_authenticator_and_their_file_is_read() {
    let folder = std::env::temp_dir().join(format!("latchkey-convert-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let ca = folder.join("ca.pem");
    let made = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    std::fs::write(&ca, &made).unwrap();
    let flags =
        ["--oidc-issuer-url=https://idp.example.com", "--oidc-client-id=kubernetes", "--oidc-groups-claim=groups"];
    let of = |ca: &str| {
        let words = flags.iter().map(|word| (*word).to_owned()).chain([format!("--oidc-ca-file={ca}")]).collect();
        with(Direction::FromFlags { words, ours: Ours::default() })
    };
    let (ending, output, notes) = run_on(&of(&ca.display().to_string()), "");
    assert_eq!((ending, notes.as_str()), (Ok(Ending::Well), ""));
    let expected = format!(
        "\
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata:
  name: idp.example.com
spec:
  issuer: https://idp.example.com
  audience: kubernetes
  signingAlgorithms:
  - RS256
  claims:
    username: sub
    usernamePrefix: https://idp.example.com#
    groups: groups
  tls:
    certificateAuthorityData: {}
",
        STANDARD.encode(&made)
    );
    assert_eq!(without_comments(&output), expected);
    assert!(!output.contains("EdDSA"), "{output}");
    let elsewhere = of("/nowhere/ca.pem");
    let (ending, _, _) = run_on(&elsewhere, "");
    let problem = ending.unwrap_err();
    assert!(problem.starts_with("--oidc-ca-file: /nowhere/ca.pem: ") && problem.contains("by --ca-file"), "{problem}");
    let (_, output, _) = run_on(&Convert { ca_file: Some(ca), ..elsewhere }, "");
    assert_eq!(without_comments(&output), expected);
    std::fs::remove_dir_all(folder).unwrap();
}
