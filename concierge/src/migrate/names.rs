//! The names of authenticators: as wished, else by their issuers' hosts.

use std::collections::BTreeSet;

use url::Url;

use super::objects::{Object, Spec};

/// Longest host that becomes a name as it is; a number may follow (RFC 1123: 253 at most).
const MAX_CHARS: usize = 240;

/// Names objects by the hosts of their issuers; the second at a host is called `<host>-2`.
pub(super) fn of_hosts(made: &mut [Object]) {
    let mut taken = BTreeSet::new();
    for object in made {
        let Spec::Jwt(spec) = &object.spec else { continue };
        let base = of_host(&spec.issuer);
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
        // An unbounded number of names, of which finitely many are taken.
        let name = name.unwrap_or(base);
        object.rename(&name);
        taken.insert(name);
    }
}

/// Gives objects the wished names, in their order; none is wished where there are none.
pub(super) fn rename(made: &mut [Object], names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    if names.len() != made.len() {
        return Err(format!(
            "--name: {} given for {} objects: give one for each, in order, or none",
            names.len(),
            made.len()
        ));
    }
    let mut taken = BTreeSet::new();
    for (object, name) in made.iter_mut().zip(names) {
        if !taken.insert((object.kind(), name)) {
            return Err(format!("--name: {name:?} stands twice"));
        }
        object.rename(name);
    }
    Ok(())
}

fn of_host(issuer: &str) -> String {
    let url = Url::parse(issuer).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let fitting = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = host.chars().map(fitting).take(MAX_CHARS).collect();
    let labels: Vec<_> =
        name.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty()).collect();
    if labels.is_empty() { "issuer".to_owned() } else { labels.join(".") }
}

#[cfg(test)]
mod tests {
    use latchkey_crds::authentication::JWTAuthenticatorSpec;

    use super::*;
    use crate::migrate::Ours;

    fn objects(issuers: &[&str]) -> Vec<Object> {
        let spec =
            |issuer: &&str| JWTAuthenticatorSpec { issuer: (*issuer).to_owned(), ..JWTAuthenticatorSpec::default() };
        issuers.iter().map(|issuer| Object::new(&Ours::default(), Spec::Jwt(Box::new(spec(issuer))))).collect()
    }

    fn names(made: &[Object]) -> Vec<&str> {
        made.iter().map(Object::name).collect()
    }

    #[test]
    fn hosts_become_names_that_kubernetes_takes() {
        let mut made = objects(&[
            "https://IDP.example.com/realms/a",
            "https://idp.example.com/realms/b",
            "https://idp.example.com:8443",
            "https://[fd00::1]:8443",
            "https://127.0.0.1:1",
            "https://a_b.example.com.",
            "nothing",
        ]);
        of_hosts(&mut made);
        let expected = [
            "idp.example.com",
            "idp.example.com-2",
            "idp.example.com-3",
            "fd00--1",
            "127.0.0.1",
            "a-b.example.com",
            "issuer",
        ];
        assert_eq!(names(&made), expected);
    }

    #[test]
    fn wished_names_are_one_for_each() {
        let mut made = objects(&["https://a", "https://b"]);
        rename(&mut made, &["corp".to_owned(), "partners".to_owned()]).unwrap();
        assert_eq!(names(&made), ["corp", "partners"]);
        assert!(rename(&mut made, &["corp".to_owned()]).unwrap_err().contains("1 given for 2 objects"));
        assert!(rename(&mut made, &["corp".to_owned(), "corp".to_owned()]).unwrap_err().contains("stands twice"));
        assert_eq!(rename(&mut made, &[]), Ok(()));
    }
}
