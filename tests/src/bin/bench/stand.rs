//! What the benchmarks of whole programs share: a cluster with a concierge in it, an issuer, and a person logged in.

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::ClusterOptions,
    concierge::ConciergeOptions,
    folder::TempFolder,
    issuer::{Client, Issuer, IssuerOptions, User},
    person::Person,
    programs::Programs,
    review::ReviewDoor,
    site::Site,
};
use serde_json::{Value, json};

/// Everything running; dropped, everything ends.
pub(crate) struct Stand {
    pub(crate) site: Site,
    pub(crate) issuer: Issuer,
    pub(crate) person: Person,
    pub(crate) door: ReviewDoor,
    _folder: TempFolder,
}

/// Who logs in.
pub(crate) const USER: &str = "ada";

impl Stand {
    /// Starts everything and logs the person in, so that the plugin's cache is warm.
    pub(crate) async fn start() -> Result<Self> {
        let folder = TempFolder::new("bench")?;
        let issuer = Issuer::start(IssuerOptions {
            clients: vec![Client::native(&Site::audience("bench"))],
            users: vec![User::new(USER, "lovelace").groups(&["developers"])],
            ..IssuerOptions::default()
        })
        .await?;
        // The API server believes the same tokens by its own structured authentication: the yardstick of the webhook's bench.
        let door = ReviewDoor::new(&folder)?;
        let configuration = folder.write("authentication.json", structured_authentication(&issuer).to_string())?;
        let mut cluster = ClusterOptions::named("bench");
        cluster.api_server_args.push(format!("--authentication-config={}", configuration.display()));
        let concierge = ConciergeOptions { extra_args: door.concierge_args(), ..ConciergeOptions::default() };
        let site = Site::start_with(cluster, concierge, "bench", folder.path()).await?;
        site.trust_own_authority().await?;
        site.trust(&issuer).await?;
        site.offers("ClientCertificateAuthority").await?;
        let programs = Programs::find().await?;
        let mut person = Person::new(folder.path(), site.cluster.kubectl_program(), programs)?;
        person.script_browser(&issuer.ca_pem(), USER, "lovelace")?;
        site.write_kubeconfig(&person).await?;
        let answer = person.kubectl(&site.kubeconfig, &["get", "namespaces"]).await?;
        ensure!(answer.ok, "logging in: {}", answer.seen());
        Ok(Self { site, issuer, person, door, _folder: folder })
    }

    /// Microseconds of CPU that the concierge has used, user and system.
    pub(crate) fn concierge_cpu_micros(&self) -> Result<f64> {
        cpu_micros(self.site.concierge.pid()?)
    }

    /// The same of kube-apiserver.
    pub(crate) fn api_server_cpu_micros(&self) -> Result<f64> {
        cpu_micros(self.site.cluster.api_server_pid())
    }

    /// Resident memory of the concierge in MiB.
    pub(crate) fn concierge_rss_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.site.concierge.pid()?))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("VmRSS has a value")?.parse()?;
        Ok(kib / 1024.0)
    }
}

/// Microseconds of CPU that a process has used, user and system.
pub(crate) fn cpu_micros(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Fields 14 and 15 of proc(5), counted behind the program's name, which may hold blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().context("/proc/PID/stat")?.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // USER_HZ is 100 on every Linux that Rust runs on.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand ticks")]
    Ok(ticks as f64 * 10_000.0)
}

/// The bench's issuer as kube-apiserver itself would be told of it (KEP-3331), with the mapping of the authenticator.
fn structured_authentication(issuer: &Issuer) -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": issuer.url(),
                "certificateAuthority": issuer.ca_pem(),
                "audiences": [Site::audience("bench")],
            },
            "claimMappings": {
                "username": {"claim": "preferred_username", "prefix": ""},
                "groups": {"claim": "groups", "prefix": ""},
            },
        }],
    })
}
