//! What creating either of the two virtual objects has in common: formats, limits, options, and the order of complaints.

use axum::extract::Request;
use serde_json::Value;

use super::{
    body,
    discovery::Resource,
    negotiation::{Offer, body_format, negotiate},
    options::CreateOptions,
    respond::{Invalid, Problem},
};

/// A create request that is well-formed.
#[derive(Debug)]
pub struct Created {
    /// The object that was sent.
    pub object: Value,
    /// How it was asked to be treated.
    pub options: CreateOptions,
    /// What the client should be told beside the answer.
    pub warnings: Vec<String>,
}

/// Reads a create request for `resource`.
///
/// # Errors
/// In this order: 406 and 415 for formats, 413 for the size, 400 for what is not the kind, 422 for an option.
pub async fn read(request: Request, resource: &Resource, schema: &Value) -> Result<Created, Problem> {
    let (parts, body) = request.into_parts();
    negotiate(&parts.headers, &[Offer::Json]).ok_or(Problem::NotAcceptable)?;
    let format = body_format(&parts.headers).ok_or(Problem::UnsupportedMediaType)?;
    let options = CreateOptions::parse(&parts.uri)?;
    let bytes = body::read(body).await?;
    let decoded = body::decode(format, &bytes, resource, schema, options.field_validation)?;
    if options.bad_field_validation {
        let supported = "supported values: \"Ignore\", \"Strict\", \"Warn\"";
        return Err(unsupported(resource, "fieldValidation", format!("Unsupported value: {supported}")));
    }
    Ok(Created { object: decoded.object, options, warnings: decoded.warnings })
}

/// What is refused after the kind's own fields were found right, as Pinniped orders it: a dry run, and a namespace on an
/// object that has none.
///
/// # Errors
/// 422 for a dry run, 400 for a namespace.
pub fn refuse_what_cannot_be(created: &Created, resource: &Resource) -> Result<(), Problem> {
    if let Some(value) = &created.options.dry_run {
        return Err(unsupported(resource, "dryRun", format!("Unsupported value: [{value:?}]")));
    }
    match created.object["metadata"]["namespace"].as_str() {
        None | Some("") => Ok(()),
        Some(_) => Err(Problem::BadRequest(format!(
            "namespace is not allowed on {}: it is a cluster-scoped kind",
            resource.kind
        ))),
    }
}

fn unsupported(resource: &Resource, field: &'static str, message: String) -> Problem {
    Problem::Invalid(Invalid {
        kind: resource.kind,
        group: resource.group.clone(),
        field,
        cause: "FieldValueNotSupported",
        message,
    })
}
