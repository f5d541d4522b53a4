//! What this plugin writes, in the hands of the tools that people have: kubectl, kubectx, kubens, kubie and whatever takes a
//! copy of one context, and a shell.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    folder::TempFolder,
    issuer::{Algorithm, User},
    not_run::not_run,
    nushell,
    oidc_provider::{OidcProvider, OidcProviderOptions},
    person::{Answer, Person},
    programs::Programs,
    site::{AUTHENTICATOR, Site},
};
use serde_json::{Value, json};
use tokio::process::Command;

/// The context that the plugin is asked to add.
const CONTEXT: &str = "people@staging";

/// A person with one kubeconfig, to which each command is pointed.
struct Reader<'a> {
    person: &'a Person,
    config: PathBuf,
}

impl Reader<'_> {
    async fn run(&self, program: &Path, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", &self.config);
        // kubectx and kubens keep what was before in here.
        command.env("HOME", self.config.parent().unwrap_or(&self.config));
        let answer = self.person.run(command).await?;
        ensure!(answer.ok, "{} {arguments:?}: {}", program.display(), answer.seen());
        Ok(answer)
    }

    async fn tool(&self, name: &str, arguments: &[&str]) -> Result<Answer> {
        self.run(Path::new(name), arguments).await
    }

    async fn merge(&self) -> Result<Answer> {
        let plugin = &Programs::find().await?.plugin;
        self.run(plugin, &["kubeconfig", "--merge", "--name", CONTEXT, "--context", "admin"]).await
    }

    async fn who(&self, config: &Path) -> Result<Value> {
        let answer = self.person.kubectl(config, &["auth", "whoami", "-o", "json"]).await?;
        ensure!(answer.ok, "{}", answer.seen());
        Ok(serde_json::from_str::<Value>(&answer.stdout)?["status"]["userInfo"]["username"].clone())
    }
}

#[tokio::test]
async fn a_merged_context_is_one_like_any_other() -> Result<()> {
    let work = TempFolder::new("kubeconfig-tools")?;
    let options = OidcProviderOptions {
        clients: vec![(Site::audience("staging"), Algorithm::ES256)],
        users: vec![User::new("ann", "ann-password").groups(&["developers"])],
        ..OidcProviderOptions::default()
    };
    let (provider, site) = tokio::try_join!(OidcProvider::start(options), Site::start("staging", work.path()))?;
    let mut authenticator = site.authenticator_at(AUTHENTICATOR, provider.url(), provider.ca_pem());
    authenticator["spec"]["claims"]["username"] = json!("username");
    site.trust_with(&authenticator).await?;
    site.offers("CertificateSigningRequestAPI").await?;
    let mut ann = Person::new(work.path(), site.cluster.kubectl_program(), Programs::find().await?)?;
    ann.script_browser(provider.ca_pem(), "ann", "ann-password")?;
    let kubectl = site.cluster.kubectl_program();
    let reader = Reader { person: &ann, config: work.path().join("mine") };

    // The admin's kubeconfig, under a name and with words of its own.
    fs::copy(site.cluster.admin_kubeconfig(), &reader.config)?;
    let current = reader.run(kubectl, &["config", "current-context"]).await?.stdout;
    if current.trim() != "admin" {
        reader.run(kubectl, &["config", "rename-context", current.trim(), "admin"]).await?;
    }
    reader.run(kubectl, &["create", "clusterrolebinding", "ann", "--clusterrole=view", "--user=ann"]).await?;
    fs::write(&reader.config, format!("# Mine.\n{}", fs::read_to_string(&reader.config)?))?;
    let before = fs::read_to_string(&reader.config)?;
    reader.merge().await?;
    let merged = fs::read_to_string(&reader.config)?;
    for line in before.lines() {
        ensure!(merged.lines().any(|other| other == line), "{line:?} is lost:\n{merged}");
    }
    ensure!(reader.run(kubectl, &["config", "current-context"]).await?.stdout.trim() == "admin", "changed unasked");

    // kubectx and kubens choose it, and what they choose outlives the next merge.
    ensure!(reader.tool("kubectx", &[]).await?.stdout.lines().any(|line| line == CONTEXT), "kubectx lists it");
    reader.tool("kubectx", &[CONTEXT]).await?;
    ensure!(reader.who(&reader.config).await? == "ann", "the context logs ann in");
    reader.tool("kubectx", &["-"]).await?;
    ensure!(reader.run(kubectl, &["config", "current-context"]).await?.stdout.trim() == "admin", "kubectx - goes back");
    reader.tool("kubectx", &["-"]).await?;
    reader.tool("kubens", &["kube-system"]).await?;
    let again = reader.merge().await?;
    ensure!(again.stderr.contains("Nothing to change."), "{}", again.seen());
    let namespace = reader.run(kubectl, &["config", "view", "--minify", "-o", "jsonpath={..namespace}"]).await?;
    ensure!(namespace.stdout == "kube-system", "{}", namespace.seen());

    kubie_has_a_shell_for_it(&reader, work.path()).await?;

    // What direnv and CI do: one context, alone, in a file elsewhere.
    let copy = reader.run(kubectl, &["config", "view", "--minify", "--flatten", "--raw"]).await?.stdout;
    ensure!(!copy.contains("client-key-data"), "the admin's key is not in it");
    let folder = TempFolder::new("kubeconfig-copy")?;
    ensure!(reader.who(&folder.write("one", copy)?).await? == "ann", "a copy of one context works by itself");
    ensure!(ann.invitations()?.len() == 1, "one login for all of it, {} browsers", ann.invitations()?.len());
    Ok(())
}

/// kubie gives each shell a kubeconfig of its own, cut out of the person's files.
async fn kubie_has_a_shell_for_it(reader: &Reader<'_>, home: &Path) -> Result<()> {
    if Command::new("kubie").arg("--version").output().await.is_err() {
        not_run("kubie", "it is not on this machine; `tests/run --long` installs it");
        return Ok(());
    }
    let folder = home.join(".kube");
    fs::create_dir_all(&folder)?;
    fs::copy(&reader.config, folder.join("config"))?;
    let contexts = reader.tool("kubie", &["ctx"]).await?;
    ensure!(contexts.stdout.lines().any(|line| line == CONTEXT), "{}", contexts.seen());
    let exec = ["exec", CONTEXT, "kube-public", "kubectl"];
    let who = reader.tool("kubie", &[&exec[..], &["auth", "whoami", "-o", "json"]].concat()).await?;
    ensure!(serde_json::from_str::<Value>(&who.stdout)?["status"]["userInfo"]["username"] == "ann", "{}", who.seen());
    let view = ["config", "view", "--minify", "-o", "jsonpath={.contexts[*].name} {..namespace}"];
    let view = reader.tool("kubie", &[&exec[..], &view].concat()).await?;
    ensure!(view.stdout == format!("{CONTEXT} kube-public"), "{}", view.seen());
    Ok(())
}

/// What a person types, and what Nushell then offers: values alone, or none for files.
const OFFERS: [(&str, &str); 6] = [
    (r#"["kubectl-latchkey" "vers"]"#, r#"["version"]"#),
    (r#"["kubectl" "latchkey" "whoami" "-o" ""]"#, r#"["text","json","yaml"]"#),
    (r#"["kubectl-latchkey" "whoami" "--context=ad"]"#, r#"["--context=admin"]"#),
    (r#"["kubectl-latchkey" "fleet" "check" "--dir" ""]"#, "null"),
    (r#"["kubectl-latchkey" "no-such-verb" ""]"#, "[]"),
    // Not ours: whoever was asked before.
    (r#"["git" "sta"]"#, r#"["of another"]"#),
];

#[tokio::test]
async fn nushell_completes_by_the_script() -> Result<()> {
    let Some(nushell) = nushell::program().await? else {
        not_run("nushell_completes_by_the_script", "npm has no Nushell for machines like this one");
        return Ok(());
    };
    let plugin = &Programs::find().await?.plugin;
    let script = Command::new(plugin).args(["completion", "nushell"]).output().await?;
    ensure!(script.status.success(), "{script:?}");
    let home = TempFolder::new("nushell")?;
    home.write("latchkey.nu", &script.stdout)?;
    let config = home.write("kubeconfig", KUBECONFIG)?;
    let asked: Vec<_> = OFFERS
        .iter()
        .map(|(words, _)| {
            format!(
                "do $env.config.completions.external.completer {words} | each {{ get value }} | to json --raw | print\n"
            )
        })
        .collect();
    let others = r#"$env.config.completions.external.completer = {|spans| [{value: "of another"}]}"#;
    let asking = home.write("asking.nu", format!("{others}\nsource latchkey.nu\n{}", asked.concat()))?;
    let path = plugin.parent().context("a program is in a folder")?;
    let mut command = Command::new(nushell);
    command.arg("--no-config-file").arg(asking).current_dir(home.path()).env_clear();
    command.env("PATH", path).env("HOME", home.path()).env("KUBECONFIG", config);
    let answer = command.output().await?;
    let said = String::from_utf8_lossy(&answer.stdout);
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let offered: Vec<_> = said.lines().collect();
    let wanted: Vec<_> = OFFERS.iter().map(|(_, offered)| *offered).collect();
    ensure!(offered == wanted, "{offered:?}");
    Ok(())
}

/// Of somebody with one context.
const KUBECONFIG: &str = "
contexts:
- {name: admin, context: {cluster: staging, user: me}}
clusters:
- {name: staging, cluster: {server: 'https://staging.example:6443'}}
users:
- {name: me, user: {}}
";
