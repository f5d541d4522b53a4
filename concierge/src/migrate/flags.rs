//! kube-apiserver's `--oidc-*` flags, as words of a command line or in the manifest of its static pod, with the defaults
//! and the odd rules that they have there (kubernetes-authn 1.2).

use std::collections::BTreeMap;

use latchkey_crds::authentication::SigningAlgorithm;
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    configuration::{ClaimRule, Entry, Issuer, Mapping, Mappings},
    remarks::Remarks,
    variables::{Variables, Word},
};

/// The program's name.
const PROGRAM: &str = "kube-apiserver";
/// The other way of telling it about issuers, which excludes these flags.
const CONFIGURATION: &str = "--authentication-config";
/// Begins the name of each of the flags.
const PREFIX: &str = "--oidc-";

/// The flags as they were given. The last of several counts, as there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    issuer_url: String,
    client_id: String,
    username_claim: Option<String>,
    username_prefix: String,
    groups_claim: String,
    groups_prefix: String,
    /// Names a file of the machine that kube-apiserver runs on.
    pub(super) ca_file: Option<String>,
    signing_algs: Vec<String>,
    required_claims: BTreeMap<String, String>,
}

/// Reads a command line; whatever else stands in it is none of our business.
pub(super) fn of_words(words: &[String]) -> Result<Flags, String> {
    read(words.iter().map(Word::from))
}

fn read(words: impl IntoIterator<Item = Word>) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut words = words.into_iter();
    while let Some(Word { text: word, mut unknown }) = words.next() {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        // As kube-apiserver does with the names of all its flags (`WordSepNormalizeFunc` of k8s.io/component-base): a rule
        // that is written so must not get lost.
        let name = name.replace('_', "-");
        if name == CONFIGURATION {
            return Err(format!("{CONFIGURATION}: convert that file, by --from authentication-configuration"));
        }
        if !name.starts_with(PREFIX) {
            continue;
        }
        let value = if let Some(value) = value {
            value.to_owned()
        } else {
            let next = words.next().ok_or_else(|| format!("{name}: has no value"))?;
            unknown.extend(next.unknown);
            next.text
        };
        if let Some(variable) = unknown.first() {
            return Err(format!(
                "{name}: $({variable}): the manifest does not hold the value of that variable: write it there, as a `value`"
            ));
        }
        flags.set(&name, value)?;
    }
    if flags.issuer_url.is_empty() || flags.client_id.is_empty() {
        return Err(
            "expected --oidc-issuer-url and --oidc-client-id: without them kube-apiserver asks no issuer".to_owned()
        );
    }
    Ok(flags)
}

/// Reads the manifest of a static pod, or of a workload that holds a control plane.
pub(super) fn of_manifest(text: &str) -> Result<Flags, String> {
    let mut found = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let value = serde_norway::Value::deserialize(document).map_err(|error| format!("cannot be read: {error}"))?;
        let value: Value = serde_norway::from_value(value).map_err(|error| format!("cannot be read: {error}"))?;
        for spec in ["/spec/containers", "/spec/template/spec/containers"] {
            let containers = value.pointer(spec).and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                found.extend(kube_apiserver(container)?);
            }
        }
    }
    match found.as_slice() {
        [words] => read(words.iter().cloned()),
        [] => Err(format!("holds no container that runs {PROGRAM}: expected the manifest of its pod")),
        several => Err(format!("holds {} containers that run {PROGRAM}: expected one", several.len())),
    }
}

/// The words of a container's command line, if it is kube-apiserver's.
fn kube_apiserver(container: &Value) -> Result<Option<Vec<Word>>, String> {
    let list = |name: &str| container[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    let variables = Variables::of(container)?;
    let words = list("command").chain(list("args")).map(|word| variables.expand(word));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let is_program = |word: &Word| word.text.rsplit('/').next() == Some(PROGRAM);
    Ok((words.iter().any(is_program) || container["name"] == PROGRAM).then_some(words))
}

impl Flags {
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match &name[PREFIX.len()..] {
            "issuer-url" => self.issuer_url = value,
            "client-id" => self.client_id = value,
            "username-claim" => self.username_claim = Some(value),
            "username-prefix" => self.username_prefix = value,
            "groups-claim" => self.groups_claim = value,
            "groups-prefix" => self.groups_prefix = value,
            "ca-file" => self.ca_file = Some(value).filter(|path| !path.is_empty()),
            "signing-algs" => self.signing_algs.extend(value.split(',').map(str::to_owned)),
            "required-claim" => {
                let (claim, value) =
                    value.split_once('=').ok_or_else(|| format!("{name}: {value:?}: expected CLAIM=VALUE"))?;
                self.required_claims.insert(claim.trim().to_owned(), value.trim().to_owned());
            }
            _ => return Err(format!("{name}: kube-apiserver has no such flag")),
        }
        Ok(())
    }

    /// The entry of an `AuthenticationConfiguration` that says the same. `ca` is what the file of `--oidc-ca-file` holds.
    pub(super) fn entry(&self, ca: Option<String>, remarks: &mut Remarks) -> Result<Entry, String> {
        let claim = match self.username_claim.as_deref() {
            None => "sub",
            Some("") => return Err("--oidc-username-claim: is empty".to_owned()),
            Some(claim) => claim,
        };
        let groups = if self.groups_claim.is_empty() {
            if !self.groups_prefix.is_empty() {
                let words = "does nothing without --oidc-groups-claim: nobody has groups, there and here";
                remarks.note("--oidc-groups-prefix", words);
            }
            Mapping::default()
        } else {
            prefixed(&self.groups_claim, &self.groups_prefix)
        };
        let required = self.required_claims.iter().map(|(claim, value)| ClaimRule {
            claim: Some(claim.clone()),
            required_value: Some(value.clone()),
            ..ClaimRule::default()
        });
        Ok(Entry {
            issuer: Issuer {
                url: self.issuer_url.clone(),
                certificate_authority: ca,
                audiences: vec![self.client_id.clone()],
                ..Issuer::default()
            },
            claim_validation_rules: required.collect(),
            claim_mappings: Mappings {
                username: prefixed(claim, &self.username_prefix(claim)),
                groups,
                ..Mappings::default()
            },
            user_validation_rules: Vec::new(),
        })
    }

    /// What stands before names: nothing for `-`; where nothing is said, the issuer before every claim but `email`.
    fn username_prefix(&self, claim: &str) -> String {
        match self.username_prefix.as_str() {
            "-" => String::new(),
            "" if claim != "email" => format!("{}#", self.issuer_url),
            prefix => prefix.to_owned(),
        }
    }

    /// The algorithms: RS256 alone where nothing is said. It is written out, since our default is all of them.
    pub(super) fn signing_algorithms(&self) -> Result<Vec<SigningAlgorithm>, String> {
        if self.signing_algs.is_empty() {
            return Ok(vec![SigningAlgorithm::RS256]);
        }
        let known = |name: &&str| SigningAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == *name);
        let mut algorithms = Vec::new();
        for name in self.signing_algs.iter().map(String::as_str) {
            let algorithm = known(&name).filter(|algorithm| *algorithm != SigningAlgorithm::EdDSA);
            let algorithm =
                algorithm.ok_or_else(|| format!("--oidc-signing-algs: kube-apiserver does not take {name:?}"))?;
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        Ok(algorithms)
    }
}

fn prefixed(claim: &str, prefix: &str) -> Mapping {
    Mapping { claim: Some(claim.to_owned()), prefix: Some(prefix.to_owned()), expression: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [&str; 2] = ["--oidc-issuer-url=https://idp.example.com", "--oidc-client-id=kubernetes"];

    fn words(words: &[&str]) -> Vec<String> {
        LEAST.iter().chain(words).map(|word| (*word).to_owned()).collect()
    }

    fn entry(more: &[&str]) -> Entry {
        of_words(&words(more)).unwrap().entry(None, &mut Remarks::default()).unwrap()
    }

    #[test]
    fn names_have_the_prefix_that_kube_apiserver_gives_them() {
        for (flags, claim, prefix) in [
            (&[][..], "sub", "https://idp.example.com#"),
            (&["--oidc-username-claim=email"], "email", ""),
            (&["--oidc-username-claim", "name"], "name", "https://idp.example.com#"),
            (&["--oidc-username-claim=name", "--oidc-username-prefix="], "name", "https://idp.example.com#"),
            (&["--oidc-username-claim=name", "--oidc-username-prefix=-"], "name", ""),
            (&["--oidc-username-claim=email", "--oidc-username-prefix=oidc:"], "email", "oidc:"),
            (&["--oidc-username-claim=a", "--oidc-username-claim=b", "--oidc-username-prefix=x:"], "b", "x:"),
        ] {
            assert_eq!(entry(flags).claim_mappings.username, prefixed(claim, prefix), "{flags:?}");
        }
    }

    #[test]
    fn the_other_flags_are_read() {
        let found = entry(&[
            "--etcd-servers=https://127.0.0.1:2379",
            "--oidc-groups-claim=groups",
            "--oidc-groups-prefix=oidc:",
            "--oidc-required-claim=hd= example.com ",
            "--oidc-required-claim",
            "a==b",
        ]);
        assert_eq!(found.claim_mappings.groups, prefixed("groups", "oidc:"));
        let required: Vec<_> = found
            .claim_validation_rules
            .iter()
            .map(|rule| (rule.claim.as_deref(), rule.required_value.as_deref()))
            .collect();
        assert_eq!(required, [(Some("a"), Some("=b")), (Some("hd"), Some("example.com"))]);
        let algorithms = |more: &[&str]| of_words(&words(more)).unwrap().signing_algorithms();
        assert_eq!(algorithms(&[]), Ok(vec![SigningAlgorithm::RS256]));
        let several = ["--oidc-signing-algs=ES256,RS256", "--oidc-signing-algs=ES256,PS512"];
        assert_eq!(
            algorithms(&several).unwrap(),
            [SigningAlgorithm::ES256, SigningAlgorithm::RS256, SigningAlgorithm::PS512]
        );
        assert!(algorithms(&["--oidc-signing-algs=EdDSA"]).unwrap_err().contains("does not take \"EdDSA\""));
        assert_eq!(of_words(&words(&["--oidc-ca-file=/ca.pem"])).unwrap().ca_file.as_deref(), Some("/ca.pem"));
        let mut remarks = Remarks::default();
        of_words(&words(&["--oidc-groups-prefix=x"])).unwrap().entry(None, &mut remarks).unwrap();
        assert!(remarks.lines().next().unwrap().contains("does nothing without --oidc-groups-claim"));
    }

    #[test]
    fn an_underscore_is_a_hyphen_as_for_kube_apiserver() {
        let hyphens = words(&["--oidc-required-claim=h_d=a_b", "--oidc-groups-claim", "my_groups"]);
        let underscores = ["--oidc_required_claim=h_d=a_b", "--oidc_groups-claim", "my_groups"];
        assert_eq!(of_words(&words(&underscores)).unwrap(), of_words(&hyphens).unwrap());
        assert!(of_words(&words(&["--authentication_config=x"])).unwrap_err().contains("convert that file"));
    }

    #[test]
    fn a_manifest_is_read_for_its_one_kube_apiserver() {
        let pod = r"
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - name: kube-apiserver
    command: [kube-apiserver, --oidc-issuer-url=https://idp.example.com, --oidc-client-id=kubernetes]
    args: [--oidc-username-claim=email]
  - {name: sidecar, command: [other, --oidc-client-id=x]}
";
        let expected = of_words(&words(&["--oidc-username-claim=email"])).unwrap();
        assert_eq!(of_manifest(pod).unwrap(), expected);
        for (text, words) in [
            ("kind: Pod\nspec: {containers: []}\n".to_owned(), "holds no container that runs kube-apiserver"),
            (pod.replace("command: [other", "command: [/bin/kube-apiserver"), "holds 2 containers"),
            (pod.replace("--oidc-issuer-url", "--authentication-config"), "convert that file"),
            (pod.replace("--oidc-issuer-url", "--issuer-url"), "expected --oidc-issuer-url and --oidc-client-id"),
            ("a: [".to_owned(), "cannot be read"),
        ] {
            assert!(of_manifest(&text).unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn a_manifest_s_variables_are_replaced_and_what_it_does_not_hold_is_told() {
        let pod = |env: &str, words: &str| {
            format!(
                "kind: Pod\nspec:\n  containers:\n  - name: kube-apiserver\n    env: {env}\n    \
                 command: [kube-apiserver, '--advertise-address=$(HOST_IP)', \
                 '--oidc-issuer-url=https://idp.example.com', {words}]\n"
            )
        };
        let env = "[{name: ID, value: kubernetes}, {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]";
        for (words, client) in [
            ("'--oidc-client-id=$(ID)'", "kubernetes"),
            ("--oidc-client-id, '$(ID)'", "kubernetes"),
            ("'--oidc-client-id=$$(ID)'", "$(ID)"),
        ] {
            assert_eq!(of_manifest(&pod(env, words)).unwrap().client_id, client, "{words}");
        }
        for words in
            ["'--oidc-client-id=a-$(HOST_IP)'", "--oidc-client-id, '$(HOST_IP)'", "'--oidc-required-claim=$(HOST_IP)'"]
        {
            let problem = of_manifest(&pod(env, words)).unwrap_err();
            assert!(problem.contains(": $(HOST_IP): the manifest does not hold the value"), "{words}: {problem}");
        }
        // A shell's words are what they are.
        let literal = of_words(&["--oidc-issuer-url=https://a".to_owned(), "--oidc-client-id=$(ID)".to_owned()]);
        assert_eq!(literal.unwrap().client_id, "$(ID)");
    }

    #[test]
    fn mistakes_are_told() {
        for (flags, expected) in [
            (&["--oidc-issuer"][..], "--oidc-issuer: has no value"),
            (&["--oidc-issuer=x"], "--oidc-issuer: kube-apiserver has no such flag"),
            (&["--oidc-required-claim=hd"], "--oidc-required-claim: \"hd\": expected CLAIM=VALUE"),
            (&["--authentication-config", "x"], "--authentication-config: convert that file"),
            (&["--oidc-client-id="], "expected --oidc-issuer-url and --oidc-client-id"),
        ] {
            let problem = of_words(&words(flags)).unwrap_err();
            assert!(problem.contains(expected), "{flags:?}: {problem}");
        }
        let empty = of_words(&words(&["--oidc-username-claim="])).unwrap().entry(None, &mut Remarks::default());
        assert_eq!(empty.unwrap_err(), "--oidc-username-claim: is empty");
    }
}
