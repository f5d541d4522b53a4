//! Argo CD's health scripts: it wants a file for each kind, and its users one map with all of them.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;

/// Where they stand.
const FOLDER: &str = "deploy/health/argocd";

/// The kinds, by group and name as Argo CD wants them, and the one whose script is theirs, written by hand.
const SCRIPTS: [(&str, &str); 3] = [
    ("authentication.concierge.latchkey.dev_JWTAuthenticator", JWT),
    // The conditions of both kinds mean the same.
    ("authentication.concierge.latchkey.dev_WebhookAuthenticator", JWT),
    ("config.concierge.latchkey.dev_CredentialIssuer", "config.concierge.latchkey.dev_CredentialIssuer"),
];

const JWT: &str = "authentication.concierge.latchkey.dev_JWTAuthenticator";

/// What the map opens with.
const HEAD: &str = "\
# For users: patch it into Argo CD's own ConfigMap. Each script is the file beside it, word for word. Written by
# `cargo deploygen` from those.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/name: argocd-cm
    app.kubernetes.io/part-of: argocd
data:
";

/// The scripts that are another kind's, and the map.
pub(super) fn files() -> Result<BTreeMap<PathBuf, String>> {
    let path = |kind: &str| PathBuf::from(FOLDER).join(kind).join("health.lua");
    let mut files = BTreeMap::new();
    let mut config_map = HEAD.to_owned();
    for (kind, of) in SCRIPTS {
        let script = super::read(path(of))?;
        config_map.extend(["  resource.customizations.health.", kind, ": |\n"]);
        config_map.extend(script.lines().flat_map(|line| [if line.is_empty() { "" } else { "    " }, line, "\n"]));
        if kind != of {
            files.insert(path(kind), script);
        }
    }
    files.insert(PathBuf::from(FOLDER).join("argocd-cm.yaml"), config_map);
    Ok(files)
}
