//! The guides to identity providers, followed to the letter: the commands and objects of each page, in its order, on two
//! real clusters and the real provider. Where the page has `https://<provider>.example.com` stands the provider's address
//! here, and its CA is named to the authenticator as the page says; nothing else is changed.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    guide::{Block, Guide},
    issuer::User,
    keycloak::Keycloak,
    person::{Answer, Person},
    programs::Programs,
    site::Site,
};
use serde_json::Value;
use tokio::process::Command;

/// Two clusters without an authenticator, as their administrators have them.
struct Fleet {
    staging: Site,
    production: Site,
    /// Both administrators' kubeconfigs, with the contexts `staging` and `production`.
    admin: OsString,
    // Dropped last: the kubeconfigs are in there.
    work: TempFolder,
}

/// A provider that runs here, and what its page takes for granted.
struct Provider<'a> {
    name: &'a str,
    address: &'a str,
    ca_pem: &'a str,
    /// Where its own programs are, if the page uses any.
    programs: Option<PathBuf>,
    /// What a person would type when asked.
    answers: Vec<(&'a str, String)>,
    login: &'a str,
    password: &'a str,
    /// Whom the clusters should take that person for.
    username: String,
    groups: &'a [&'a str],
}

#[tokio::test]
async fn the_guides_are_followed_to_the_letter() -> Result<()> {
    let people = [User::new("ann", "ann-password").groups(&["developers"])];
    let (fleet, keycloak) = tokio::try_join!(Fleet::start(), Keycloak::start(&[], &people))?;
    fleet
        .follow(Provider {
            name: "keycloak",
            address: keycloak.base(),
            ca_pem: keycloak.ca_pem(),
            programs: Some(Keycloak::programs().await?),
            answers: vec![("KC_CLI_PASSWORD", keycloak.admin_password().to_owned())],
            login: "ann",
            password: "ann-password",
            username: "keycloak:ann".to_owned(),
            groups: &["keycloak:developers"],
        })
        .await
}

impl Fleet {
    async fn start() -> Result<Self> {
        let work = TempFolder::new("guides-idp")?;
        let (staging, production) =
            tokio::try_join!(Site::start("staging", work.path()), Site::start("production", work.path()))?;
        let mut admins = Vec::new();
        for site in [&staging, &production] {
            site.offers("CertificateSigningRequestAPI").await?;
            // Users of two names: where kubeconfigs are merged, the first one of a name wins.
            admins.push(site.cluster.write_kubeconfig(&format!("admin-{}", site.name), site.cluster.admin())?);
        }
        Ok(Self { staging, production, admin: std::env::join_paths(admins)?, work })
    }

    fn sites(&self) -> [&Site; 2] {
        [&self.staging, &self.production]
    }

    /// Walks through the page, and then sees whether its promises hold.
    async fn follow(&self, provider: Provider<'_>) -> Result<()> {
        let desk = Desk::new(self, &provider).await?;
        let guide = Guide::read(&format!("idp/{}.md", provider.name))?;
        let mut seen = String::new();
        for block in guide.tagged() {
            let what = format!("{}: {} {}:\n{}", provider.name, block.language, block.tag, block.text);
            seen += &desk.step(self, block).await.context(what)?;
        }
        for name in std::iter::once(provider.username.as_str()).chain(provider.groups.iter().copied()) {
            ensure!(seen.contains(name), "whoami does not show {name}:\n{seen}");
        }
        self.holds(&desk, &provider).await.with_context(|| format!("after the guide to {}", provider.name))?;
        for site in self.sites() {
            site.cluster.kubectl_ok(&["delete", "jwtauthenticator", provider.name]).await?;
        }
        Ok(())
    }

    /// A login for one cluster opens no other; each opens its own; both are renewed without a word.
    async fn holds(&self, desk: &Desk<'_>, provider: &Provider<'_>) -> Result<()> {
        let token = desk.person.kept_token()?;
        let answer = Exchanger::through(&self.production.cluster)?.exchange_at(provider.name, &token).await?;
        answer.refused()?;
        let record = self.production.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == "audience-other-cluster", "{record}");
        ensure!(record["claimedCluster"] == "staging", "{record}");

        for site in self.sites() {
            let kubeconfig = desk.folder.join(format!("{}.yaml", site.name));
            let answer = desk.person.kubectl(&kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
            ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
        }
        ensure!(desk.person.invitations()?.len() == 2, "one login for each cluster: {:?}", desk.person.invitations()?);
        let answer = desk.sh("kubectl latchkey status -o json").await?;
        let status: Value = serde_json::from_str(&answer.stdout).with_context(|| answer.seen())?;
        let sessions = status["sessions"].as_array().context("sessions")?;
        ensure!(sessions.len() == 2 && sessions.iter().all(|session| session["renewable"] == true), "{status}");
        Ok(())
    }
}

/// Where somebody sits and reads a page.
struct Desk<'a> {
    folder: PathBuf,
    person: Person,
    provider: &'a Provider<'a>,
    admin: &'a OsString,
    path: OsString,
}

impl<'a> Desk<'a> {
    async fn new(fleet: &'a Fleet, provider: &'a Provider<'a>) -> Result<Self> {
        let folder = fleet.work.path().join(provider.name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("ca.pem"), provider.ca_pem)?;
        let kubectl = fleet.staging.cluster.kubectl_program();
        let mut person = Person::new(&folder, kubectl, Programs::find().await?)?;
        person.script_browser(provider.ca_pem, provider.login, provider.password)?;
        let environment = person.environment();
        let (_, path) = environment.iter().find(|(name, _)| *name == "PATH").context("a PATH")?;
        let folders = provider.programs.iter().cloned().chain(std::env::split_paths(path));
        let path = std::env::join_paths(folders)?;
        Ok(Self { folder, person, provider, admin: &fleet.admin, path })
    }

    /// Does what a block says; returns what a command showed.
    async fn step(&self, fleet: &Fleet, block: &Block) -> Result<String> {
        match (block.language.as_str(), block.tag.as_str()) {
            ("sh", "run" | "private-ca") => {
                let answer = self.sh(&self.here(&block.text)).await?;
                ensure!(answer.ok, "{}", answer.seen());
                Ok(answer.seen())
            }
            ("yaml", tag @ ("staging" | "production" | "both")) => {
                let objects = self.with_ca(&self.here(&block.text));
                for site in fleet.sites().into_iter().filter(|site| tag == "both" || tag == site.name) {
                    site.cluster.apply(&objects).await?;
                }
                Ok(String::new())
            }
            // Given to the provider at its start, or shown.
            ("yaml", "provider") | ("json", "token" | "user" | "refused") => Ok(String::new()),
            (language, tag) => bail!("nobody knows what to do with a block {language} {tag}"),
        }
    }

    fn here(&self, text: &str) -> String {
        text.replace(&format!("https://{}.example.com", self.provider.name), self.provider.address)
    }

    /// "If its certificate is of a CA of your own, add `tls`."
    fn with_ca(&self, objects: &str) -> String {
        use base64::Engine as _;
        let ca = base64::prelude::BASE64_STANDARD.encode(self.provider.ca_pem);
        objects.replace("\n  audience: ", &format!("\n  tls: {{certificateAuthorityData: {ca}}}\n  audience: "))
    }

    async fn sh(&self, script: &str) -> Result<Answer> {
        let mut command = Command::new("sh");
        command
            .args(["-euc", script])
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.admin)
            .envs(self.provider.answers.iter().map(|(name, value)| (*name, value)));
        self.person.run(command).await
    }
}
