//! The entries we write: one cluster, one user, one context; no secret, no path unless asked for.

use serde_norway::{Mapping, Value};

use super::arguments;
use super::entries::{Entry, Kind};
use super::file::MARK;
use super::merge::{EXEC_EXTENSION, Wish};
use super::names::Names;
use super::reader::Cluster;
use super::yaml;
use crate::args::CredentialArgs;

/// For all platforms: kubeconfigs are handed around. How to install it stands where it can change.
const INSTALL_HINT: &str = "\
kubectl-latchkey is not installed, or not in PATH. How to install it: https://latchkey.dev
A desktop program that does not know your PATH needs a kubeconfig written with --command-path.
";

/// The program, by its name: where it is differs from one computer to the next.
const COMMAND: &str = "kubectl-latchkey";

/// How the user's stanza is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// `--command-path`.
    pub(super) command: Option<String>,
    /// `--install-hint`.
    pub(super) install_hint: Option<String>,
    /// `--settings-in-cluster`: not as arguments, but in the cluster's extension.
    pub(super) settings_in_cluster: bool,
}

/// One cluster and how to log in to it.
#[derive(Clone, Debug)]
pub(super) struct Stanza {
    pub(super) names: Names,
    pub(super) cluster: Cluster,
    pub(super) namespace: Option<String>,
    pub(super) login: CredentialArgs,
    /// Variables for the plugin, by name.
    pub(super) environment: Vec<(String, String)>,
}

impl Stanza {
    /// Cluster, user and context.
    pub(super) fn entries(&self, manner: &Manner) -> [Entry; 3] {
        let own = || Value::from(self.names.entry.as_str());
        let mut context = Mapping::from_iter([("cluster".into(), own()), ("user".into(), own())]);
        if let Some(namespace) = &self.namespace {
            context.insert("namespace".into(), namespace.as_str().into());
        }
        let user = Mapping::from_iter([("exec".into(), exec(&self.login, &self.environment, manner))]);
        let entry = |kind, name: &str, body| Entry { kind, name: name.to_owned(), body };
        [
            entry(Kind::Cluster, &self.names.entry, self.cluster(manner)),
            entry(Kind::User, &self.names.entry, user),
            entry(Kind::Context, &self.names.context, context),
        ]
    }

    fn cluster(&self, manner: &Manner) -> Mapping {
        let Cluster { server, certificate_authority_data, tls_server_name, proxy_url, insecure_skip_tls_verify: _ } =
            &self.cluster;
        let mut body = Mapping::from_iter([("server".into(), server.as_str().into())]);
        let more = [
            ("certificate-authority-data", certificate_authority_data),
            ("tls-server-name", tls_server_name),
            ("proxy-url", proxy_url),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                body.insert(key.into(), value.as_str().into());
            }
        }
        if manner.settings_in_cluster {
            let settings = Value::Mapping(arguments::extension(&self.login));
            let extension = Mapping::from_iter([
                ("name".into(), EXEC_EXTENSION.into()),
                ("extension".into(), Value::Mapping(Mapping::from_iter([("latchkey".into(), settings)]))),
            ]);
            body.insert("extensions".into(), Value::Sequence(vec![Value::Mapping(extension)]));
        }
        body
    }
}

/// The `exec` of a user.
pub(super) fn exec(login: &CredentialArgs, environment: &[(String, String)], manner: &Manner) -> Value {
    let arguments =
        if manner.settings_in_cluster { vec!["credential".to_owned()] } else { arguments::arguments(login) };
    let mut exec = Mapping::from_iter([
        ("apiVersion".into(), "client.authentication.k8s.io/v1".into()),
        ("command".into(), manner.command.as_deref().unwrap_or(COMMAND).into()),
        ("args".into(), Value::Sequence(arguments.into_iter().map(Value::from).collect())),
    ]);
    if !environment.is_empty() {
        let variable = |(name, value): &(String, String)| {
            let fields = [("name".into(), name.as_str().into()), ("value".into(), value.as_str().into())];
            Value::Mapping(Mapping::from_iter(fields))
        };
        exec.insert("env".into(), Value::Sequence(environment.iter().map(variable).collect()));
    }
    // `Never` would hide what we say in some clients, `Always` breaks `kubectl apply -f -`.
    exec.insert("interactiveMode".into(), "IfAvailable".into());
    exec.insert("provideClusterInfo".into(), true.into());
    exec.insert("installHint".into(), manner.install_hint.as_deref().unwrap_or(INSTALL_HINT).into());
    Value::Mapping(exec)
}

/// The list of users as far as these are in it, to be looked at.
pub(super) fn users(wishes: &[Wish]) -> String {
    let items = wishes.iter().filter_map(|wish| yaml::item(&wish.entry.item(), 0, "\n"));
    format!("users:\n{}", items.collect::<String>())
}

/// A kubeconfig of these alone.
pub(super) fn document(stanzas: &[Stanza], manner: &Manner, current: Option<&str>) -> String {
    let mut text = format!("{MARK} It holds no secret.\napiVersion: v1\nkind: Config\n");
    let entries: Vec<Entry> = stanzas.iter().flat_map(|stanza| stanza.entries(manner)).collect();
    for kind in Kind::ALL {
        text.push_str(kind.list());
        text.push_str(":\n");
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            text.push_str(&yaml::item(&entry.item(), 0, "\n").expect("texts, lists and maps can always be written"));
        }
    }
    if let Some(current) = current {
        text.extend(["current-context: ", &yaml::scalar(current), "\n"]);
    }
    text
}
