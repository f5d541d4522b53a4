//! What stands in a kubeconfig's three lists: named entries, as values that keep whatever we do not know.

use serde_norway::{Mapping, Value};

/// Which of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `clusters`.
    Cluster,
    /// `users`.
    User,
    /// `contexts`.
    Context,
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Which list.
    pub(super) kind: Kind,
    /// Its name there.
    pub(super) name: String,
    /// What stands under the kind's own key.
    pub(super) body: Mapping,
}

impl Kind {
    /// In the order in which we write them.
    pub(super) const ALL: [Self; 3] = [Self::Cluster, Self::User, Self::Context];

    /// The list's key.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::Context => "contexts",
            Self::User => "users",
        }
    }

    /// The key of an item's content, which is also the word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Context => "context",
            Self::User => "user",
        }
    }
}

impl Entry {
    /// The item as it stands in the list.
    pub(super) fn item(&self) -> Value {
        let mut item = Mapping::new();
        item.insert("name".into(), self.name.as_str().into());
        item.insert(self.kind.word().into(), Value::Mapping(self.body.clone()));
        Value::Mapping(item)
    }
}

/// The items of one list of a kubeconfig; a list may be missing or `null`.
pub(super) fn items(kubeconfig: &Value, kind: Kind) -> &[Value] {
    kubeconfig.get(kind.list()).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

/// An item's name.
pub(super) fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

/// What stands under the item's own key; an item without it is an empty one.
pub(super) fn body(item: &Value, kind: Kind) -> Mapping {
    item.get(kind.word()).and_then(Value::as_mapping).cloned().unwrap_or_default()
}

/// A text in what stands under the item's own key.
pub(super) fn text<'a>(item: &'a Value, kind: Kind, key: &str) -> Option<&'a str> {
    item.get(kind.word())?.get(key)?.as_str()
}

/// Whether a user logs in by this plugin, wherever the program is: by its name and the verb that only it has.
pub(super) fn is_our_user(item: &Value) -> bool {
    let exec = item.get("user").and_then(|user| user.get("exec"));
    let command = exec.and_then(|exec| exec.get("command")?.as_str());
    let verb = exec.and_then(|exec| exec.get("args")?.get(0)?.as_str());
    is_our_program(command.unwrap_or_default()) && verb == Some("credential")
}

/// Whether a stanza's `command` is this program, with or without a directory.
pub(super) fn is_our_program(command: &str) -> bool {
    program_name(command) == "kubectl-latchkey"
}

/// The last part of a stanza's `command`. Both separators: the kubeconfig may have been written on another system.
pub(super) fn program_name(command: &str) -> &str {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    name.strip_suffix(".exe").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_users_are_known_by_program_and_verb() {
        let user = |exec: &str| serde_norway::from_str::<Value>(&format!("name: n\nuser:\n  exec: {exec}")).unwrap();
        for ours in [
            "{command: kubectl-latchkey, args: [credential, --issuer=x]}",
            "{command: /opt/bin/kubectl-latchkey, args: [credential]}",
            "{command: 'C:\\bin\\kubectl-latchkey.exe', args: [credential]}",
        ] {
            assert!(is_our_user(&user(ours)), "{ours}");
        }
        for other in [
            "{command: kubectl, args: [oidc-login, get-token]}",
            "{command: kubectl-latchkey, args: [login, oidc]}",
            "{command: my-kubectl-latchkey, args: [credential]}",
            "{}",
        ] {
            assert!(!is_our_user(&user(other)), "{other}");
        }
    }
}
