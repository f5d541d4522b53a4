//! The guides of `deploy/guides/migration`, followed block by block on one cluster: its kube-apiserver first has the flags
//! of the one, then the file of the other, and at last Pinniped's objects.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, api::PostParams};
use latchkey_crds::{groups::GroupSuffix, manifests};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    definitions,
    folder::TempFolder,
    guide::Guide,
    issuer::{Client, Issuer, IssuerOptions, User},
    person::Person,
    programs::Programs,
    site::Site,
    wait::eventually,
};
use serde_json::json;
use tokio::process::Command;

/// The issuer of the pages.
const ISSUER: &str = "https://idp.example.com/realms/main";

/// What a block may take: logins, and `kubectl wait`.
const BLOCK_LIMIT: Duration = Duration::from_mins(2);

/// Until kube-apiserver has read a changed file, and asked its issuers: it looks every ten seconds, and once a minute.
const RELOAD_LIMIT: Duration = Duration::from_secs(90);

#[tokio::test]
async fn the_guides_do_what_they_say() -> Result<()> {
    let work = TempFolder::new("migration")?;
    let users = || vec![User::new("ann", "ann-password").groups(&["developers"])];
    let clients = || vec![Client::native(&Site::audience("staging"))];
    let start = || Issuer::start(IssuerOptions { clients: clients(), users: users(), ..IssuerOptions::default() });
    let (by_flags, by_file) = tokio::try_join!(start(), start())?;

    let flags = oidc_flags(&work.write("idp-ca.pem", by_flags.ca_pem())?, &by_flags);
    let mut options = ClusterOptions::named("staging");
    options.api_server_args.clone_from(&flags);
    let mut site = Site::start_on(options, "staging", work.path()).await?;
    // The groups of these pages' clusters have no prefix.
    let bindings = include_str!("../../../deploy/examples/rbac/developers-view.yaml");
    site.cluster.apply(&bindings.replace("oidc:developers", "developers")).await?;
    site.offers("CertificateSigningRequestAPI").await?;

    kubelogin(&mut site, &by_flags, &by_file, &flags).await?;
    let kind = format!("jwtauthenticators.{}", site.concierge.suffix().authentication());
    site.cluster.kubectl_ok(&["delete", &kind, "corp"]).await?;
    structured_authentication(&site, &by_file).await?;
    site.cluster.kubectl_ok(&["delete", &kind, "corp"]).await?;
    pinniped(&site, &by_file).await
}

fn oidc_flags(ca: &Path, issuer: &Issuer) -> Vec<String> {
    let audience = Site::audience("staging");
    [
        ("issuer-url", issuer.url()),
        ("client-id", &audience),
        ("username-claim", "preferred_username"),
        ("username-prefix", "oidc:"),
        ("groups-claim", "groups"),
        ("ca-file", &ca.to_string_lossy()),
    ]
    .into_iter()
    .map(|(name, value)| format!("--oidc-{name}={value}"))
    .collect()
}

async fn kubelogin(site: &mut Site, issuer: &Issuer, next: &Issuer, flags: &[String]) -> Result<()> {
    let desk = Desk::new(&site.cluster, issuer).await?;
    let command: Vec<_> = std::iter::once("kube-apiserver".to_owned()).chain(flags.iter().cloned()).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
        "spec": {"containers": [{"name": "kube-apiserver", "image": "kube-apiserver", "command": command}]},
    });
    desk.write("kube-apiserver.yaml", &pod.to_string())?;
    desk.write("idp-ca.pem", &issuer.ca_pem())?;
    desk.write("people.yaml", &kubeconfig_of_kubelogin(&site.cluster, issuer))?;
    desk.stand_in_for_kubelogin(&issuer.id_token("ann", &Site::audience("staging"))?)?;

    for step in steps("kubelogin.md")? {
        if step.tag == "after" {
            // The flags go; the file of the next guide comes.
            let file = site.cluster.folder().join("authentication.yaml");
            fs::write(&file, configuration(next))?;
            let config = format!("--authentication-config={}", file.display());
            site.cluster.restart_api_server_with("--oidc-", &[config]).await?;
            site.concierge.available(&site.cluster).await?;
        }
        desk.follow(&step).await?;
    }
    Ok(())
}

async fn structured_authentication(site: &Site, issuer: &Issuer) -> Result<()> {
    let desk = Desk::new(&site.cluster, issuer).await?;
    let audience = Site::audience("staging");
    let token = issuer.id_token("ann", &audience)?;
    let mut claims = issuer.claims("ann", &audience)?;
    claims["aud"] = json!([audience, "somebody-else"]);
    let shared = issuer.mint(&claims)?;
    desk.write("token.jwt", &token)?;
    // kube-apiserver reads the page's file where it lies.
    let file = site.cluster.folder().join("authentication.yaml");
    std::os::unix::fs::symlink(&file, desk.folder.path().join("authentication.yaml"))?;
    let says = async |answers: [bool; 2]| takes(&site.cluster, &[(&token, answers[0]), (&shared, answers[1])]).await;
    says([true, true]).await.context("before")?;
    for step in steps("structured-authentication.md")? {
        desk.follow(&step).await?;
        match step.tag.as_str() {
            "emptied" => says([false, false]).await.context("without the issuer")?,
            "back" => says([true, true]).await.context("with the old file")?,
            // It guards the other door too.
            "rebuilt" => says([true, false]).await.context("with the file made anew")?,
            _ => {}
        }
    }
    Ok(())
}

async fn pinniped(site: &Site, issuer: &Issuer) -> Result<()> {
    let desk = Desk::new(&site.cluster, issuer).await?;
    let suffix: GroupSuffix = "pinniped.dev".parse()?;
    // What Pinniped has in a cluster, by definitions of the same form.
    for file in manifests::files(&suffix).map_err(|error| anyhow!("{error}"))? {
        if file.file_name != "kustomization.yaml" {
            site.cluster.apply(&file.text).await?;
        }
    }
    definitions::established(&site.cluster).await?;
    let version = |group: String| GroupSuffix::api_version(&group);
    let authenticator = json!({
        "apiVersion": version(suffix.authentication()), "kind": "JWTAuthenticator", "metadata": {"name": "corp"},
        "spec": {
            "issuer": issuer.url(), "audience": Site::audience("staging"),
            "claims": {"username": "preferred_username", "groups": "groups"},
            "tls": {"certificateAuthorityData": STANDARD.encode(issuer.ca_pem())},
        },
    });
    site.cluster.apply(&authenticator.to_string()).await?;
    let name = "pinniped-concierge-config";
    let credential_issuer = json!({
        "apiVersion": version(suffix.config()), "kind": "CredentialIssuer", "metadata": {"name": name},
        "spec": {"impersonationProxy": {"mode": "auto"}},
    });
    site.cluster.apply(&credential_issuer.to_string()).await?;
    let strategy = json!({
        "type": "KubeClusterSigningCertificate", "status": "Success", "reason": "FetchedKey", "message": "key was fetched",
        "lastUpdateTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({"status": {"strategies": [strategy]}}).to_string();
    let kind = format!("credentialissuers.{}", suffix.config());
    site.cluster.kubectl_ok(&["patch", &kind, name, "--subresource=status", "--type=merge", "-p", &status]).await?;

    for step in steps("pinniped.md")? {
        desk.follow(&step).await?;
    }
    Ok(())
}

/// Waits until kube-apiserver itself says this of these tokens, all at once.
async fn takes(cluster: &Cluster, tokens: &[(&str, bool)]) -> Result<()> {
    let reviews: Api<TokenReview> = Api::all(cluster.client().await?);
    eventually("kube-apiserver to judge by its new file", RELOAD_LIMIT, async || {
        for (number, (token, expected)) in tokens.iter().enumerate() {
            let spec = TokenReviewSpec { token: (*token).to_owned(), audiences: None };
            let review = TokenReview { spec, ..TokenReview::default() };
            let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
            let taken = status.authenticated.unwrap_or_default();
            ensure!(taken == *expected, "token {number}: authenticated {taken}, expected {expected}");
        }
        Ok(())
    })
    .await
}

/// The file of the guide about it.
fn configuration(issuer: &Issuer) -> String {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": issuer.url(), "certificateAuthority": issuer.ca_pem(), "audiences": [Site::audience("staging")],
            },
            "claimMappings": {
                "username": {"claim": "preferred_username", "prefix": ""}, "groups": {"claim": "groups", "prefix": ""},
            },
        }],
    })
    .to_string()
}

fn kubeconfig_of_kubelogin(cluster: &Cluster, issuer: &Issuer) -> String {
    let (server, issuer_url) = (cluster.server_url(), issuer.url());
    let (ca, issuer_ca) = (STANDARD.encode(cluster.ca_pem()), STANDARD.encode(issuer.ca_pem()));
    let audience = Site::audience("staging");
    format!(
        "\
apiVersion: v1
kind: Config
current-context: staging
clusters:
- name: staging
  cluster: {{server: '{server}', certificate-authority-data: {ca}}}
contexts:
- name: staging
  context: {{cluster: staging, user: oidc}}
users:
- name: oidc
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      interactiveMode: IfAvailable
      command: kubectl
      args:
      - oidc-login
      - get-token
      - --oidc-issuer-url={issuer_url}
      - --oidc-client-id={audience}
      - --certificate-authority-data={issuer_ca}
"
    )
}

/// A block to run, and the lines to see.
struct Step {
    tag: String,
    script: String,
    seen: Vec<String>,
}

/// The blocks ```` ```sh run ```` of a page, or another word than `run`, each with the ```` ```text seen ```` behind it.
fn steps(page: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for block in Guide::read(&format!("migration/{page}"))?.tagged() {
        match (block.language.as_str(), block.tag.as_str()) {
            ("sh", tag @ ("run" | "after" | "emptied" | "back" | "rebuilt")) => {
                steps.push(Step { tag: tag.to_owned(), script: block.text.clone(), seen: Vec::new() });
            }
            ("text", "seen") => {
                let step = steps.last_mut().context("something is seen before anything is run")?;
                step.seen = block.text.lines().map(str::to_owned).collect();
            }
            (language, tag) => bail!("{page} has a block {language} {tag}, which nobody runs"),
        }
    }
    ensure!(steps.len() >= 5, "{page} has {} steps", steps.len());
    Ok(steps)
}

/// Somebody who reads a page: a folder, an admin's kubeconfig, a browser in which Ann logs in.
struct Desk {
    person: Person,
    folder: TempFolder,
    kubeconfig: PathBuf,
    issuer: String,
}

impl Desk {
    async fn new(cluster: &Cluster, issuer: &Issuer) -> Result<Self> {
        let folder = TempFolder::new("reader")?;
        let mut person = Person::new(folder.path(), cluster.kubectl_program(), Programs::find().await?)?;
        person.script_browser(&issuer.ca_pem(), "ann", "ann-password")?;
        let kubeconfig = cluster.admin_kubeconfig().to_owned();
        Ok(Self { person, folder, kubeconfig, issuer: issuer.url().to_owned() })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        self.folder.write(name, text)
    }

    /// `kubectl oidc-login`, as kubectl finds it: it gives a token as kubelogin does after a login.
    fn stand_in_for_kubelogin(&self, token: &str) -> Result<()> {
        let credential = json!({
            "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": token},
        });
        let program = self.write("kubectl-oidc_login", &format!("#!/bin/sh\ncat <<'END'\n{credential}\nEND\n"))?;
        Ok(fs::set_permissions(program, fs::Permissions::from_mode(0o700))?)
    }

    /// Runs a block as it stands on the page, but for the issuer's address, and looks for what is to be seen.
    async fn follow(&self, step: &Step) -> Result<()> {
        let script = step.script.replace(ISSUER, &self.issuer);
        let environment = self.person.environment();
        let path = environment.iter().find(|(name, _)| *name == "PATH").context("a PATH")?;
        let mut search = OsString::from(self.folder.path());
        search.push(":");
        search.push(&path.1);
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{script}")]).current_dir(self.folder.path());
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.folder.path()).env("PATH", search);
        let answer = tokio::time::timeout(BLOCK_LIMIT, self.person.run(command)).await.context(script.clone())??;
        ensure!(answer.ok, "{script}\n{}", answer.seen());
        let output = squeezed(&answer.stdout);
        let mut rest = output.as_str();
        for line in &step.seen {
            let line = squeezed(&line.replace(ISSUER, &self.issuer));
            let at = rest.find(&line).with_context(|| format!("{script}\nnot seen: {line}\n{}", answer.seen()))?;
            rest = &rest[at + line.len()..];
        }
        Ok(())
    }
}

/// kubectl sets its columns by what stands in them.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
