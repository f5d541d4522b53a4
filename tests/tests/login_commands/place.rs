//! Where it all happens: two clusters that know each other, one identity provider, one laptop.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    folder::TempFolder,
    issuer::{Algorithm, User},
    oidc_provider::{OidcProvider, OidcProviderOptions},
    person::{Answer, Person},
    programs::Programs,
    site::{AUTHENTICATOR, Site},
};
use serde_json::{Value, json};
use tokio::process::Command;

/// A name that no cluster gives to anybody who comes from outside.
pub(crate) const RESERVED: &str = "system:admin";

pub(crate) struct Place {
    pub(crate) provider: OidcProvider,
    pub(crate) staging: Site,
    pub(crate) production: Site,
    pub(crate) ann: Person,
    pub(crate) work: TempFolder,
}

impl Place {
    pub(crate) async fn start() -> Result<Self> {
        let work = TempFolder::new("login-commands")?;
        let user = |name: &str| User::new(name, &format!("{name}-password")).groups(&["developers"]);
        let options = OidcProviderOptions {
            clients: ["staging", "production"].map(|name| (Site::audience(name), Algorithm::ES256)).to_vec(),
            users: ["ann", "robot", RESERVED].map(user).to_vec(),
            ..OidcProviderOptions::default()
        };
        let (provider, staging, production) = tokio::try_join!(
            OidcProvider::start(options),
            Site::start("staging", work.path()),
            Site::start("production", work.path()),
        )?;
        let audiences = ["staging", "production"].map(|name| (name, Site::audience(name)));
        let fleet = audiences.each_ref().map(|(name, audience)| (*name, audience.as_str()));
        for site in [&staging, &production] {
            let mut authenticator = site.authenticator_at(AUTHENTICATOR, provider.url(), provider.ca_pem());
            authenticator["spec"]["claims"]["username"] = json!("username");
            site.fleet(&fleet).await?;
            site.trust_with(&authenticator).await?;
            site.offers("CertificateSigningRequestAPI").await?;
        }
        let mut ann = Person::new(work.path(), staging.cluster.kubectl_program(), Programs::find().await?)?;
        ann.script_browser(provider.ca_pem(), "ann", "ann-password")?;
        Ok(Self { provider, staging, production, ann, work })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// Somebody else, with a laptop of their own.
    pub(crate) async fn person(&self, name: &str) -> Result<Person> {
        let home = self.path(&format!("laptop-of-{}", name.replace(':', "-")));
        fs::create_dir(&home)?;
        let mut person = Person::new(&home, self.staging.cluster.kubectl_program(), Programs::find().await?)?;
        person.script_browser(self.provider.ca_pem(), name, &format!("{name}-password"))?;
        Ok(person)
    }

    /// A kubectl of ann's with some variables set; what she said herself wins over what is usual.
    pub(crate) async fn with(&self, set: &[(&str, &str)], config: &Path, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(self.staging.cluster.kubectl_program());
        command.args(arguments).env("KUBECONFIG", config).envs(set.iter().copied());
        self.ann.run(command).await
    }

    /// The same where it has to succeed.
    pub(crate) async fn ok(&self, config: &Path, arguments: &[&str]) -> Result<Answer> {
        let answer = self.with(&[], config, arguments).await?;
        ensure!(answer.ok, "kubectl {arguments:?}: {}", answer.seen());
        Ok(answer)
    }

    /// The same where it has to fail, with these words.
    pub(crate) async fn fails(&self, config: &Path, arguments: &[&str], words: &str) -> Result<Answer> {
        let answer = self.with(&[], config, arguments).await?;
        ensure!(!answer.ok && answer.stderr.contains(words), "kubectl {arguments:?}: {}", answer.seen());
        Ok(answer)
    }

    /// Whom the cluster takes somebody for.
    pub(crate) async fn who(&self, set: &[(&str, &str)], config: &Path) -> Result<String> {
        let answer = self.with(set, config, &["auth", "whoami", "-o", "json"]).await?;
        let review: Value = serde_json::from_str(&answer.stdout).with_context(|| answer.seen())?;
        Ok(review["status"]["userInfo"]["username"].as_str().context("a name")?.to_owned())
    }
}
