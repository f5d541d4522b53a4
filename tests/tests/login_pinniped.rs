//! Kubeconfigs of Pinniped's CLI in a cluster of ours: kubectl runs our plugin under the name `pinniped`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_e2e::{
    cluster::ClusterOptions,
    concierge::ConciergeOptions,
    folder::TempFolder,
    issuer::{Client, Issuer, IssuerOptions, User},
    person::{Answer, Person},
    programs::Programs,
    site::{AUTHENTICATOR, Site},
};
use serde_json::json;
use tokio::process::Command;

#[tokio::test]
async fn a_kubeconfig_of_pinnipeds_logs_in_once_through_our_plugin() -> Result<()> {
    let work = TempFolder::new("login-pinniped")?;
    let desk = Desk::new(work.path()).await?;
    let kubeconfig = desk.kubeconfig_as_pinniped_writes_it(&desk.plugin)?;
    desk.logs_in_once(&kubeconfig).await
}

/// Ann's desk: a cluster with the concierge under Pinniped's names, her own home, a browser that knows her password.
struct Desk {
    site: Site,
    issuer: Issuer,
    person: Person,
    home: PathBuf,
    /// Our plugin under Pinniped's name.
    plugin: PathBuf,
}

impl Desk {
    async fn new(work: &Path) -> Result<Self> {
        let options = ConciergeOptions { suffix: "pinniped.dev".parse()?, ..ConciergeOptions::default() };
        let users = vec![User::new("ann", "ann-password").groups(&["developers"])];
        let clients = vec![Client::native(&Site::audience("staging"))];
        let (issuer, site) = tokio::try_join!(
            Issuer::start(IssuerOptions { clients, users, ..IssuerOptions::default() }),
            Site::start_with(ClusterOptions::named("staging"), options, "staging", work)
        )?;
        site.trust(&issuer).await?;
        site.offers("CertificateSigningRequestAPI").await?;
        let home = work.join("ann");
        fs::create_dir(&home)?;
        let programs = Programs::find().await?;
        let plugin = home.join("pinniped");
        symlink(&programs.plugin, &plugin)?;
        let mut person = Person::new(&home, site.cluster.kubectl_program(), programs)?;
        person.script_browser(&issuer.ca_pem(), "ann", "ann-password")?;
        Ok(Self { site, issuer, person, home, plugin })
    }

    async fn logs_in_once(&self, kubeconfig: &Path) -> Result<()> {
        let first = self.kubectl(kubeconfig, &["auth", "whoami", "-o", "json"]).await?;
        ensure!(
            first.ok && first.stdout.contains("\"ann\"") && first.stdout.contains("\"developers\""),
            "{}",
            first.seen()
        );
        let asked = self.issuer.requests_total();
        let second = self.kubectl(kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
        ensure!(second.ok && second.stdout.contains("namespace/kube-system"), "{}", second.seen());
        ensure!(self.issuer.requests_total() == asked, "the identity provider was asked");
        ensure!(self.person.invitations()?.len() == 1, "the browser was opened again");
        for file in ["sessions.yaml", "credentials.yaml"] {
            ensure!(
                self.home.join(".config/pinniped").join(file).is_file(),
                "no {file} where Pinniped's CLI looks for it"
            );
        }

        let mut whoami = Command::new(&self.plugin);
        whoami.arg("whoami").env("KUBECONFIG", kubeconfig).env("HOME", &self.home);
        let whoami = self.person.run(whoami).await?;
        let server = self.site.cluster.server_url();
        let words = ["Current cluster info:", &format!("URL: {server}"), "Username: ann", "Groups: developers, "];
        ensure!(whoami.ok && words.iter().all(|word| whoami.stdout.contains(word)), "{}", whoami.seen());
        Ok(())
    }

    /// In the shape that `pinniped get kubeconfig` gives it.
    fn kubeconfig_as_pinniped_writes_it(&self, command: &Path) -> Result<PathBuf> {
        let (server, ca) = (self.site.cluster.server_url(), STANDARD.encode(self.site.cluster.ca_pem()));
        let audience = Site::audience("staging");
        let args = [
            "login".to_owned(),
            "oidc".to_owned(),
            "--enable-concierge".to_owned(),
            "--concierge-api-group-suffix=pinniped.dev".to_owned(),
            format!("--concierge-authenticator-name={AUTHENTICATOR}"),
            "--concierge-authenticator-type=jwt".to_owned(),
            format!("--concierge-endpoint={server}"),
            format!("--concierge-ca-bundle-data={ca}"),
            format!("--issuer={}", self.issuer.url()),
            format!("--client-id={audience}"),
            "--scopes=offline_access,openid".to_owned(),
            format!("--ca-bundle-data={}", STANDARD.encode(self.issuer.ca_pem())),
            format!("--request-audience={audience}"),
        ];
        let name = "staging-pinniped";
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": ca}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
            "users": [{"name": name, "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1", "command": command, "args": args, "env": [],
                "installHint": "", "provideClusterInfo": true,
            }}}],
        });
        let path = self.home.join("kubeconfig.yaml");
        fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    async fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(self.site.cluster.kubectl_program());
        command.args(arguments).env("KUBECONFIG", kubeconfig).env("HOME", &self.home);
        self.person.run(command).await
    }
}
