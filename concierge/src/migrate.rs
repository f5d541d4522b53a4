//! `latchkey-concierge convert`: what kube-apiserver or Pinniped is told about issuers, said as authenticators of ours, and
//! the other way round.
//!
//! Nothing is left out in silence. What the other side cannot say is refused with its field and the reason, or told where
//! a loss is allowed; what both say and mean differently stands as a comment over what is written.
//!
//! | file | its part |
//! |---|---|
//! | `sources` | the only door: files and standard input |
//! | `configuration` | the `AuthenticationConfiguration` of kube-apiserver, read strictly |
//! | `incoming`, `outgoing` | its entries to our specs, and back |
//! | `guards` | what we refuse by default, as rules that kube-apiserver understands |
//! | `flags`, `variables` | kube-apiserver's `--oidc-*` flags, alone or in its manifest, where variables may stand for them |
//! | `pinniped` | Pinniped's objects |
//! | `names`, `objects`, `remarks`, `differences` | what is written, and what a person is told |

mod configuration;
mod differences;
mod flags;
mod guards;
mod incoming;
mod names;
mod objects;
mod outgoing;
mod pinniped;
mod remarks;
mod sources;
mod variables;

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use latchkey_crds::{authentication::JWTAuthenticatorSpec, groups::GroupSuffix};

use self::{
    configuration::Configuration,
    objects::{Object, Spec},
    remarks::Remarks,
    sources::Sources,
};
use crate::convert::{self, ManifestKind};

pub use self::configuration::Version;

/// What is to be converted, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convert {
    /// From what to what.
    pub direction: Direction,
    /// The files to read; none is standard input, and so is `-`.
    pub files: Vec<PathBuf>,
    /// A PEM bundle that takes the place of certificate authorities which stand elsewhere.
    pub ca_file: Option<PathBuf>,
    /// Whether what cannot be said is told and left out, where it would be refused.
    pub allow_loss: bool,
    /// How the result is written.
    pub format: Format,
}

/// From what to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A file of `--authentication-config` to authenticators.
    FromConfiguration(Ours),
    /// `--oidc-*` flags to an authenticator: the words of a command line, or the manifest in the file.
    FromFlags {
        /// The flags; none where they stand in a manifest.
        words: Vec<String>,
        /// What is made.
        ours: Ours,
    },
    /// Pinniped's objects to ours.
    FromPinniped(Ours),
    /// Authenticators to a file of `--authentication-config`.
    ToConfiguration(Version),
}

/// What is to be said of the authenticators that are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// Their names, in order; none: the issuers' hosts.
    pub names: Vec<String>,
    /// The ending of their API group.
    pub suffix: GroupSuffix,
    /// Whether they admit what was admitted before and we would refuse by default.
    pub faithful: bool,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON; several objects are a `List`. It has no comments, so everything is told on the side.
    Json,
    /// YAML documents.
    #[default]
    Yaml,
}

/// How a conversion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is written.
    Well,
    /// Something cannot be said on the other side. Nothing is written.
    Refused,
}

/// Why nothing was converted. Its words are for whoever typed the command.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// What was given cannot be read as what it should be.
    #[error("{0}")]
    Unusable(String),
    /// The result cannot be written.
    #[error("writing the result: {0}")]
    Output(#[from] std::io::Error),
}

/// What was made, before it is written.
enum Made {
    Ours(Vec<Object>),
    Configuration(Box<Configuration>),
}

/// Converts, and writes the result to `output`; `notes` are for people.
///
/// # Errors
/// When the input is of no use, or the result cannot be written.
pub fn run(
    convert: &Convert,
    input: impl Read,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<Ending, ConvertError> {
    let mut remarks = Remarks::default();
    let mut sources = Sources::new(&convert.files, convert.ca_file.as_deref(), input);
    let (made, differing) = match &convert.direction {
        Direction::FromConfiguration(ours) => {
            (from_configuration(&mut sources, ours, &mut remarks)?, differences::from_kube_apiserver(ours.faithful))
        }
        Direction::FromFlags { words, ours } => {
            (from_flags(&mut sources, words, ours, &mut remarks)?, differences::from_flags(ours.faithful))
        }
        Direction::FromPinniped(ours) => {
            (from_pinniped(&mut sources, ours, &mut remarks)?, differences::from_pinniped(ours.faithful))
        }
        Direction::ToConfiguration(version) => {
            (to_configuration(&mut sources, *version, &mut remarks)?, differences::to_kube_apiserver())
        }
    };
    if let Made::Ours(made) = &made {
        made.iter().try_for_each(reads_back)?;
    }
    if remarks.refuse(convert.allow_loss) {
        remarks.write_refusals(notes)?;
        return Ok(Ending::Refused);
    }
    remarks.write(notes)?;
    match (convert.format, made) {
        (Format::Yaml, Made::Ours(made)) => objects::write_yaml(output, &made, &remarks, &differing)?,
        (Format::Yaml, Made::Configuration(made)) => objects::write_yaml(output, &[made], &remarks, &differing)?,
        (Format::Json, made) => {
            differing.iter().try_for_each(|words| writeln!(notes, "differs: {words}"))?;
            match made {
                Made::Ours(made) => objects::write_json(output, &made)?,
                Made::Configuration(made) => objects::write_json(output, &[made])?,
            }
        }
    }
    Ok(Ending::Well)
}

fn from_configuration(
    sources: &mut Sources<impl Read>,
    ours: &Ours,
    remarks: &mut Remarks,
) -> Result<Made, ConvertError> {
    sources.refuse_ca_file("such a file holds its certificate authorities itself")?;
    let (place, text) = sources.only()?;
    let configuration = Configuration::parse(&text).map_err(|problem| unusable(&place, &problem))?;
    let specs = incoming::specs(&configuration, ours.faithful, remarks);
    named(specs, ours, remarks).map(Made::Ours)
}

fn from_flags(
    sources: &mut Sources<impl Read>,
    words: &[String],
    ours: &Ours,
    remarks: &mut Remarks,
) -> Result<Made, ConvertError> {
    let (place, flags) = if words.is_empty() {
        let (place, text) = sources.only()?;
        let flags = flags::of_manifest(&text).map_err(|problem| unusable(&place, &problem))?;
        (place, flags)
    } else {
        let flags = flags::of_words(words).map_err(ConvertError::Unusable)?;
        ("the command line".to_owned(), flags)
    };
    let ca = match &flags.ca_file {
        None => {
            sources.refuse_ca_file("there is no --oidc-ca-file: kube-apiserver trusts whom its system trusts")?;
            None
        }
        Some(path) => sources.ca_bundle(Some(path.as_ref()))?,
    };
    let entry = flags.entry(ca, remarks).map_err(|problem| unusable(&place, &problem))?;
    let mut spec = incoming::spec(&place, &entry, ours.faithful, remarks);
    spec.signing_algorithms = flags.signing_algorithms().map_err(|problem| unusable(&place, &problem))?;
    named(vec![(place, spec)], ours, remarks).map(Made::Ours)
}

fn from_pinniped(sources: &mut Sources<impl Read>, ours: &Ours, remarks: &mut Remarks) -> Result<Made, ConvertError> {
    sources
        .refuse_ca_file("an object that holds certificate authorities goes on to hold them, in Latchkey's namespace")?;
    let mut made = Vec::new();
    for (place, text) in sources.all()? {
        let found = pinniped::objects(&text, ours, remarks).map_err(|problem| unusable(&place, &problem))?;
        made.extend(found);
    }
    names::rename(&mut made, &ours.names).map_err(ConvertError::Unusable)?;
    Ok(Made::Ours(made))
}

fn to_configuration(
    sources: &mut Sources<impl Read>,
    version: Version,
    remarks: &mut Remarks,
) -> Result<Made, ConvertError> {
    let mut found = Vec::new();
    for (place, text) in sources.all()? {
        found.extend(convert::manifests(&text).map_err(|error| unusable(&place, &error.to_string()))?);
    }
    convert::refuse_twins(&found).map_err(|error| ConvertError::Unusable(error.to_string()))?;
    let ca = sources.ca_bundle(None)?;
    let elsewhere = "/tls/certificateAuthorityDataSource";
    if found.iter().all(|manifest| manifest.spec.pointer(elsewhere).is_none_or(serde_json::Value::is_null)) {
        sources.refuse_ca_file("no authenticator has its certificate authorities in an object")?;
    }
    let mut entries = Vec::new();
    for manifest in found {
        let place = format!("{} {}", manifest.kind.name(), manifest.name);
        match manifest.kind {
            ManifestKind::Fleet => {
                remarks.loss(&place, "kube-apiserver has no fleet list: it cannot tell whose a token is");
            }
            ManifestKind::Webhook => remarks.loss(
                &place,
                "an AuthenticationConfiguration names no webhook: that is --authentication-token-webhook-config-file",
            ),
            ManifestKind::Jwt => {
                let spec = read(&manifest.spec).map_err(|problem| unusable(&place, &problem))?;
                entries.push((place.clone(), outgoing::entry(&place, &spec, ca.as_deref(), remarks)));
            }
        }
    }
    outgoing::together(&entries, remarks);
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    Ok(Made::Configuration(Box::new(Configuration::new(version, entries))))
}

/// What is written must be what the concierge reads: a name of the command line may be none.
fn reads_back(object: &Object) -> Result<(), ConvertError> {
    let text = serde_json::to_string(object).map_err(|error| ConvertError::Unusable(error.to_string()))?;
    convert::manifests(&text).map(drop).map_err(|error| ConvertError::Unusable(error.to_string()))
}

/// A spec that works here, so that it is clear what it says.
fn read(spec: &serde_json::Value) -> Result<JWTAuthenticatorSpec, String> {
    let problems = problems(spec);
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    convert::read(spec).map(|(spec, _)| spec).map_err(|problem| problem.to_string())
}

/// Gives each spec its name, and looks at it as the concierge will.
fn named(
    specs: Vec<(String, JWTAuthenticatorSpec)>,
    ours: &Ours,
    remarks: &mut Remarks,
) -> Result<Vec<Object>, ConvertError> {
    let mut made = Vec::new();
    for (place, spec) in specs {
        let value = serde_json::to_value(&spec).map_err(|error| ConvertError::Unusable(error.to_string()))?;
        for problem in problems(&value) {
            remarks.impossible(&place, &format!("Latchkey would refuse it: {problem}"));
        }
        made.push(Object::new(ours, Spec::Jwt(Box::new(spec))));
    }
    names::of_hosts(&mut made);
    names::rename(&mut made, &ours.names).map_err(ConvertError::Unusable)?;
    Ok(made)
}

/// Everything that the concierge would have against a spec.
fn problems(spec: &serde_json::Value) -> Vec<String> {
    match convert::jwt_authenticator(spec) {
        Err(problem) => problem.problems().map(str::to_owned).collect(),
        Ok(spec) => {
            let fields = [
                spec.issuer.err().map(|problem| problem.to_string()),
                spec.keys.err().map(|problem| problem.to_string()),
                spec.trust.err().map(|problem| problem.to_string()),
            ];
            let judge = spec.judge.err();
            let rest = judge.iter().flat_map(|problem| problem.problems().map(str::to_owned));
            fields.into_iter().flatten().chain(rest).collect()
        }
    }
}

fn unusable(place: &str, problem: &str) -> ConvertError {
    ConvertError::Unusable(format!("{place}: {problem}"))
}

#[cfg(test)]
mod tests;
