//! The cluster's kube-apiserver: RBAC, aggregation, audit log.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{ClusterOptions, certificates::Certificates};
use crate::{
    child::Child,
    folder::TempFolder,
    place::Place,
    wait::{self, Observation},
};

/// Ports to try: another process may bind a free port before kube-apiserver does.
const TRIES: usize = 5;

/// Until it listens: before that it waits for etcd and installs its API groups. Its end because of a taken port comes earlier.
const LISTEN_LIMIT: Duration = Duration::from_mins(1);

/// The issuer of service account tokens and their audience.
const SERVICE_ACCOUNT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Who did what to which object, without bodies; not the control plane's own chatter.
const AUDIT_POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    nonResourceURLs: ["/readyz*", "/livez*", "/healthz*", "/version"]
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager"]
  - level: Metadata
"#;

pub(super) struct ApiServer {
    child: Child,
    place: Place,
    port: u16,
    program: PathBuf,
    flags: Vec<String>,
    logs: PathBuf,
    audit_log: PathBuf,
}

impl ApiServer {
    /// Starts kube-apiserver and waits until it listens.
    pub(super) async fn start(
        program: &Path,
        folder: &TempFolder,
        certificates: &Certificates,
        etcd: &str,
        options: &ClusterOptions,
        place: &Place,
    ) -> Result<Self> {
        let policy = options.audit_policy.as_deref().unwrap_or(AUDIT_POLICY);
        let policy = folder.write("audit-policy.yaml", policy)?;
        let audit_log = folder.path().join("kube-audit.jsonl");
        let mut flags = flags(folder, certificates, etcd, options, place, [&policy, &audit_log]);
        flags.extend(options.api_server_args.iter().cloned());
        let mut attempt = 1;
        loop {
            let port = place.port(6443)?;
            let child = spawn(place, program, port, &flags, folder.path())?;
            let mut server = Self {
                child,
                place: place.clone(),
                port,
                program: program.to_owned(),
                flags: flags.clone(),
                logs: folder.path().to_owned(),
                audit_log: audit_log.clone(),
            };
            match server.listening().await {
                Ok(()) => return Ok(server),
                Err(error) if attempt < TRIES && server.child.last_words().contains("address already in use") => {
                    eprintln!("kube-apiserver's port was taken meanwhile, trying another: {}", error.root_cause());
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}:{}", self.place.address(), self.port)
    }

    pub(super) fn audit_log(&self) -> &Path {
        &self.audit_log
    }

    pub(super) fn log(&self) -> &Path {
        self.child.stderr()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(super) fn check_alive(&mut self) -> Result<()> {
        self.child.check_alive()
    }

    pub(super) fn last_words(&self) -> String {
        self.child.last_words()
    }

    /// SIGKILL: on SIGTERM it drains for seconds, and its data is thrown away anyhow.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.child.kill().map(drop)
    }

    /// What the next start is given: nothing that begins with `without`, and `with`.
    pub(super) fn change_flags(&mut self, without: &str, with: &[String]) {
        self.flags.retain(|flag| !flag.starts_with(without));
        self.flags.extend_from_slice(with);
    }

    /// The same flags on the same port.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        if self.child.try_exit()?.is_none() {
            bail!("kube-apiserver is running");
        }
        self.child = spawn(&self.place, &self.program, self.port, &self.flags, &self.logs)?;
        self.listening().await
    }

    async fn listening(&mut self) -> Result<()> {
        let (child, address) = (&mut self.child, (self.place.address(), self.port));
        wait::eventually("kube-apiserver to listen", LISTEN_LIMIT, async || {
            if let Err(error) = child.check_alive() {
                return Observation::Hopeless(error);
            }
            tokio::net::TcpStream::connect(address).await.map(drop).map_err(anyhow::Error::from).into()
        })
        .await
        .with_context(|| child.last_words())
    }
}

fn spawn(place: &Place, program: &Path, port: u16, flags: &[String], logs: &Path) -> Result<Child> {
    let mut command = place.command(program);
    command.arg(format!("--secure-port={port}")).args(flags);
    Child::spawn("kube-apiserver", command, logs)
}

fn flags(
    folder: &TempFolder,
    certificates: &Certificates,
    etcd: &str,
    options: &ClusterOptions,
    place: &Place,
    [audit_policy, audit_log]: [&Path; 2],
) -> Vec<String> {
    let address = place.address().to_string();
    let with_path = [
        ("audit-log-path", audit_log),
        ("audit-policy-file", audit_policy),
        ("cert-dir", &folder.path().join("kube-apiserver")),
        ("client-ca-file", &certificates.client_ca),
        ("proxy-client-cert-file", &certificates.front_proxy_file),
        ("proxy-client-key-file", &certificates.front_proxy_key_file),
        ("requestheader-client-ca-file", &certificates.front_proxy_ca),
        ("service-account-key-file", &certificates.service_account_public_key),
        ("service-account-signing-key-file", &certificates.service_account_key),
        ("tls-cert-file", &certificates.api_server),
        ("tls-private-key-file", &certificates.api_server_key),
    ]
    .map(|(flag, path)| format!("--{flag}={}", path.display()));
    let with_word = [
        ("advertise-address", address.as_str()),
        ("allow-privileged", "true"),
        ("anonymous-auth", if options.anonymous { "true" } else { "false" }),
        ("api-audiences", SERVICE_ACCOUNT_ISSUER),
        ("authorization-mode", "Node,RBAC"),
        // All of them where the network is the node's own: the kubelet's is one, the loopback another.
        ("bind-address", if place.is_node() { "0.0.0.0" } else { "127.0.0.1" }),
        // With true, an APIService behind an ExternalName Service is refused ("unsupported service type").
        ("enable-aggregator-routing", "false"),
        ("enable-admission-plugins", "NodeRestriction"),
        // A loopback address may not stand in an endpoint, so there is nothing to reconcile.
        ("endpoint-reconciler-type", if place.is_node() { "lease" } else { "none" }),
        ("etcd-servers", etcd),
        ("profiling", "false"),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("service-account-issuer", SERVICE_ACCOUNT_ISSUER),
        ("service-cluster-ip-range", "10.96.0.0/16"),
    ]
    .map(|(flag, word)| format!("--{flag}={word}"));
    let kubelet = kubelet_flags(certificates).into_iter().filter(|_| place.is_node());
    with_path.into_iter().chain(with_word).chain(kubelet).collect()
}

/// How it reaches a kubelet for logs, exec and port-forward, and knows it for the right one.
fn kubelet_flags(certificates: &Certificates) -> [String; 4] {
    [
        format!("--kubelet-certificate-authority={}", certificates.ca.display()),
        format!("--kubelet-client-certificate={}", certificates.kubelet_client.display()),
        format!("--kubelet-client-key={}", certificates.kubelet_client_key.display()),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
    ]
}
