//! The query parameters of a create request (`metav1.CreateOptions`), read once.

use axum::extract::Query;
use http::Uri;

use super::{body::FieldValidation, respond::Problem};

/// What the query asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// `dryRun` is present with any value: what we do has no dry form, so it is refused.
    pub dry_run: Option<String>,
    /// What to do about unknown fields.
    pub field_validation: FieldValidation,
    /// A word that is none of the three.
    pub bad_field_validation: bool,
    /// Indent the answer.
    pub pretty: bool,
}

/// Query parameters looked at. Clients send at most five.
const MAX_PARAMETERS: usize = 32;

impl CreateOptions {
    /// Reads the query of `uri`. Parameters that mean nothing here (`timeout`, `fieldManager`) are ignored.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] if the query is not form-encoded.
    pub fn parse(uri: &Uri) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::BadRequest("the query cannot be read".to_owned()))?;
        let mut options = Self::default();
        for (name, value) in pairs.into_iter().take(MAX_PARAMETERS) {
            match (name.as_str(), value.as_str()) {
                ("dryRun" | "fieldValidation", "") => {}
                ("dryRun", _) => options.dry_run = Some(value.chars().take(32).collect()),
                ("fieldValidation", "Ignore") => options.field_validation = FieldValidation::Ignore,
                ("fieldValidation", "Strict") => options.field_validation = FieldValidation::Strict,
                ("fieldValidation", "Warn") => options.field_validation = FieldValidation::Warn,
                ("fieldValidation", _) => options.bad_field_validation = true,
                ("pretty", "true" | "1") => options.pretty = true,
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Whether the query asks to watch, which a resource without a store cannot offer.
#[must_use]
pub fn watches(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch" | "watch=true" | "watch=1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> CreateOptions {
        CreateOptions::parse(&format!("/x?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn options_are_read_and_the_rest_is_ignored() {
        assert_eq!(parse("timeout=10s&fieldManager=kubectl-create"), CreateOptions::default());
        assert_eq!(parse("fieldValidation=Strict").field_validation, FieldValidation::Strict);
        assert!(parse("fieldValidation=strict").bad_field_validation);
        assert_eq!(parse("dryRun=All").dry_run.as_deref(), Some("All"));
        assert!(parse("pretty=true").pretty);
        assert!(watches(&"/x?limit=500&watch=true".parse().unwrap()));
        assert!(!watches(&"/x?watch=false".parse().unwrap()));
    }
}
