//! What contexts, clusters and users are called: by the person, by a template, or after the cluster.

use std::collections::BTreeMap;

use super::discover::Found;
use super::reader::OUR_PREFIX;
use crate::args::NameTemplate;
use crate::failure::{Failure, Status};

/// The names of one cluster's three entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// What people type.
    pub(super) context: String,
    /// Cluster and user: one for each context, because the user's arguments are for one cluster only.
    pub(super) entry: String,
}

/// How names are chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming<'a> {
    /// `--name`.
    pub(super) name: Option<&'a str>,
    /// `--name-template`.
    pub(super) template: Option<&'a NameTemplate>,
    /// Contexts that the reader has already and that are not ours. Where nobody named anything, they are stepped around.
    pub(super) taken: &'a [String],
}

impl Names {
    /// For a context of this name.
    pub(super) fn of_context(context: String) -> Self {
        let entry = if context.starts_with(OUR_PREFIX) { context.clone() } else { format!("{OUR_PREFIX}{context}") };
        Self { context, entry }
    }
}

impl Naming<'_> {
    /// A name for each cluster, in their order.
    ///
    /// # Errors
    /// When a name cannot be used, or two would be the same.
    pub(super) fn names(&self, found: &[Found]) -> Result<Vec<Names>, Failure> {
        let mut by_name: BTreeMap<String, &Found> = BTreeMap::new();
        found
            .iter()
            .map(|found| {
                let context = self.context(found)?;
                if let Some(other) = by_name.insert(context.clone(), found) {
                    return Err(Failure::new(
                        Status::Usage,
                        format!("both {} and {} would be called {context:?}", other.asked, found.asked),
                    )
                    .hint("nothing was written; tell them apart, for example with --name-template '{context}-sso'"));
                }
                Ok(Names::of_context(context))
            })
            .collect()
    }

    fn context(&self, found: &Found) -> Result<String, Failure> {
        if let Some(name) = self.name {
            if name != acceptable_name(name) {
                return Err(Failure::new(
                    Status::Usage,
                    format!("--name: expected letters, digits and . _ @ - (not first), found {name:?}"),
                ));
            }
            return Ok(name.to_owned());
        }
        let cluster = acceptable_name(&found.cluster_name);
        if let Some(template) = self.template {
            let name = template.fill(|placeholder| match placeholder {
                "authenticator" => acceptable_name(found.login.authenticator.as_deref().unwrap_or("direct")),
                "cluster" => cluster.clone(),
                "context" => acceptable_name(&found.context),
                "suffix" => found.suffix.to_string(),
                _ => String::new(),
            });
            return Ok(acceptable_name(&name));
        }
        Ok(if self.taken.contains(&cluster) { format!("{OUR_PREFIX}{cluster}") } else { cluster })
    }
}

/// A name that kubectl, kubectx and kubens all take: letters, digits and `. _ @ -`, the last not first.
pub(super) fn acceptable_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || "._@-".contains(character) { character } else { '-' })
        .collect();
    let name = name.trim_start_matches('-');
    if name.is_empty() { "cluster".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(context: &str, cluster: &str) -> Found {
        let mut found = Found::for_test(context, cluster);
        found.login.authenticator = Some("people".to_owned());
        found
    }

    fn naming<'a>(template: Option<&'a NameTemplate>, taken: &'a [String]) -> Naming<'a> {
        Naming { name: None, template, taken }
    }

    #[test]
    fn names_are_made_acceptable() {
        let cases = [
            ("staging", "staging"),
            ("arn:aws:eks:eu-1:12:cluster/prod", "arn-aws-eks-eu-1-12-cluster-prod"),
            ("gke_p_z_c", "gke_p_z_c"),
            ("-x", "x"),
            ("a=b", "a-b"),
            ("", "cluster"),
        ];
        for (name, expected) in cases {
            assert_eq!(acceptable_name(name), expected);
        }
    }

    #[test]
    fn by_default_the_clusters_own_name_and_never_a_context_of_the_readers() {
        let names = |taken: &[&str]| {
            let taken: Vec<String> = taken.iter().map(|&name| name.to_owned()).collect();
            naming(None, &taken).names(&[found("admin@prod", "prod")]).unwrap().remove(0)
        };
        assert_eq!(names(&[]), Names { context: "prod".to_owned(), entry: "latchkey-prod".to_owned() });
        assert_eq!(names(&["prod"]), Names { context: "latchkey-prod".to_owned(), entry: "latchkey-prod".to_owned() });
    }

    #[test]
    fn a_template_is_filled_and_two_equal_names_are_an_error() {
        let template: NameTemplate = "{context}.{authenticator}.{suffix}".parse().unwrap();
        let names = naming(Some(&template), &[]).names(&[found("a:b", "prod")]).unwrap();
        assert_eq!(names[0].context, "a-b.people.latchkey.dev");
        let two = [found("one", "prod"), found("two", "prod")];
        let failure = naming(None, &[]).names(&two).unwrap_err();
        assert_eq!(failure.message, "both context one and context two would be called \"prod\"");
        for wrong in ["{cluster", "{who}", "a b", "-{cluster}", "", "{cluster}}"] {
            assert!(wrong.parse::<NameTemplate>().is_err(), "{wrong}");
        }
    }
}
