//! The guides to identity providers, followed to the letter: the commands and objects of each page, in its order, on two
//! real clusters and the real provider. Where the page has `https://<provider>.example.com` stands the provider's address
//! here, and its CA is named to the authenticator as the page says; nothing else is changed.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use latchkey_e2e::{
    dex::{self, Dex},
    exchange::Exchanger,
    folder::TempFolder,
    guide::{Block, Guide},
    issuer::{Algorithm, User},
    keycloak::Keycloak,
    oidc_provider::{OidcProvider, OidcProviderOptions},
    person::{Answer, Person},
    programs::Programs,
    site::Site,
};
use serde_json::{Map, Value};
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
        .await?;
    drop(keycloak);

    let dex = Dex::start(Guide::read("idp/dex.md")?.only("yaml", "provider")?, "https://dex.example.com").await?;
    fleet
        .follow(Provider {
            name: "dex",
            address: dex.base(),
            ca_pem: dex.ca_pem(),
            programs: None,
            answers: Vec::new(),
            login: dex::PERSON,
            password: dex::PASSWORD,
            username: format!("dex:{}", dex::PERSON),
            groups: &["dex:developers"],
        })
        .await?;
    drop(dex);

    for name in ["auth0", "authentik", "okta"] {
        fleet.stands_in(name).await.with_context(|| format!("a stand-in for {name}"))?;
    }
    Ok(())
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

/// What a provider says of itself or of the login, rather than of the person.
const OF_THE_PROTOCOL: [&str; 9] = ["iss", "aud", "azp", "sub", "iat", "exp", "jti", "sid", "amr"];

impl Fleet {
    /// A provider that nobody but its maker runs, by another one that has its oddities: the form of the issuer, redirect
    /// addresses that are compared to the letter, and the claims that the page shows. It says nothing of what the provider
    /// has to be set to for that.
    async fn stands_in(&self, name: &str) -> Result<()> {
        let guide = Guide::read(&format!("idp/{name}.md"))?;
        let mut token: Map<String, Value> = serde_json::from_str(guide.only("json", "token")?)?;
        let user: Value = serde_json::from_str(guide.only("json", "user")?)?;
        let text = |token: &Map<String, Value>, claim: &str| {
            anyhow::Ok(
                token.get(claim).and_then(Value::as_str).with_context(|| format!("{claim} is a text"))?.to_owned(),
            )
        };
        let (issuer, client, subject) = (text(&token, "iss")?, text(&token, "aud")?, text(&token, "sub")?);
        token.retain(|claim, _| !OF_THE_PROTOCOL.contains(&claim.as_str()));
        let host_and_path = issuer.strip_prefix("https://").context("https")?;
        let path = host_and_path.find('/').map_or("", |at| &host_and_path[at..]);
        let ann = User { subject, ..User::new("ann", "ann-password") };
        let provider = OidcProvider::start(OidcProviderOptions {
            clients: vec![(client, Algorithm::RS256)],
            users: vec![ann],
            issuer_path: path.to_owned(),
            redirects: guide.only("text", "redirects")?.lines().map(str::to_owned).collect(),
            claims: token,
            ..OidcProviderOptions::default()
        })
        .await?;
        ensure!(provider.url().ends_with(path), "{}", provider.url());
        let here = Provider {
            name,
            address: provider.url(),
            ca_pem: provider.ca_pem(),
            programs: None,
            answers: Vec::new(),
            login: "ann",
            password: "ann-password",
            username: String::new(),
            groups: &[],
        };
        let desk = Desk::new(self, &here).await?;
        let authenticator = guide.only("yaml", "staging")?.replace(&issuer, provider.url());
        self.staging.cluster.apply(&with_ca(&authenticator, provider.ca_pem())).await?;
        self.staging.ready(name).await?;

        // The page's own command; the host tells nothing here.
        let page =
            guide.blocks().find_map(|block| block.text.lines().find(|line| line.contains("latchkey kubeconfig")));
        let command = page.context("a command")?.trim().replace("$cluster", "staging");
        let answer = desk.sh(&format!("{command} --provider {name}")).await?;
        ensure!(answer.ok, "{}", answer.seen());
        for check in ["latchkey doctor", "get --raw /version"] {
            let answer = desk.sh(&format!("kubectl {check} --kubeconfig staging.yaml")).await?;
            ensure!(answer.ok, "{check}: {}", answer.seen());
        }
        let answer = desk.sh("kubectl auth whoami --kubeconfig staging.yaml -o json").await?;
        let whoami: Value = serde_json::from_str(&answer.stdout).with_context(|| answer.seen())?;
        let found = &whoami["status"]["userInfo"];
        ensure!(found["username"] == user["username"], "{found}, expected {user}");
        for group in user["groups"].as_array().context("groups")? {
            ensure!(
                found["groups"].as_array().is_some_and(|groups| groups.contains(group)),
                "{found}, expected {user}"
            );
        }

        // Any other port is refused, and the doctor sees it without a login.
        let answer = desk.sh(&format!("{command} --provider {name} --redirect-ports 28675 --force")).await?;
        ensure!(answer.ok, "{}", answer.seen());
        let answer = desk.sh("kubectl latchkey doctor --kubeconfig staging.yaml").await?;
        ensure!(
            !answer.ok && answer.stdout.contains("does not take http://127.0.0.1:28675/callback"),
            "{}",
            answer.seen()
        );
        self.staging.cluster.kubectl_ok(&["delete", "jwtauthenticator", name]).await.map(drop)
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
                let objects = with_ca(&self.here(&block.text), self.provider.ca_pem);
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

/// "If its certificate is of a CA of your own, add `tls`."
fn with_ca(objects: &str, ca_pem: &str) -> String {
    use base64::Engine as _;
    let ca = base64::prelude::BASE64_STANDARD.encode(ca_pem);
    objects.replace("\n  audience: ", &format!("\n  tls: {{certificateAuthorityData: {ca}}}\n  audience: "))
}
