//! The README's commands, in their order and as they stand there. What a reader has elsewhere is stood in for:
//!
//! | the README | here | because |
//! |---|---|---|
//! | `cargo image` | [`Image`], the same code | the whole test run builds it once |
//! | `skopeo copy` to a registry | its file, imported by the node under the name of the registry, and no other | no registry here that pods reach |
//! | `cargo install` of the plugin | the tests' plugin, on the `PATH` from then on | the same program, built already |
//! | `idp.example.com` | Dex, and the line for a private CA | it has a CA of its own |
//! | `x86_64` in the image's file | this machine | |

use std::{fs, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use latchkey_e2e::{dex, guide::Guide, image::Image, programs::Programs};
use serde_json::json;

use crate::{FIRST_LOGIN, desk::Desk};

/// What the README promises.
const MOST_COMMANDS: usize = 8;

/// The image's name in its file.
const BUILT: &str = concat!("latchkey.dev/concierge:", env!("CARGO_PKG_VERSION"));

pub(crate) async fn follow(desk: &mut Desk<'_>) -> Result<()> {
    let section = Guide::read_section("../../README.md", FIRST_LOGIN)?;
    let commands = || section.blocks().filter(|block| block.language == "sh").flat_map(|block| block.text.lines());
    let count = commands().count();
    ensure!((1..=MOST_COMMANDS).contains(&count), "{count} commands");
    for command in commands() {
        let several = [";", "&", "|", "\\", "$("].into_iter().find(|sign| command.contains(sign));
        ensure!(several.is_none() && !command.trim().is_empty(), "not one command: {command:?}");
    }

    let mut last = String::new();
    for block in section.blocks() {
        match block.language.as_str() {
            "yaml" => {
                let name = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
                let name = name.context("its first line says what the file is called")?;
                let content = desk.with_provider("https://idp.example.com/realms/corp", &block.text)?;
                fs::write(desk.checkout().join(name), content)?;
            }
            "sh" => {
                for command in block.text.lines() {
                    let begin = Instant::now();
                    last = does(desk, command).await.with_context(|| format!("the README: {command}"))?;
                    desk.took(command, begin);
                }
            }
            other => bail!("nobody knows what to do with a block of {other:?}"),
        }
    }
    ensure!(last.contains("No resources found in default namespace"), "{last}");

    ensure!(desk.person.invitations()?.len() == 1, "{:?}", desk.person.invitations()?);
    let user = desk.whoami("staging.yaml").await?;
    ensure!(user["username"] == format!("oidc:{}", dex::PERSON), "{user}");
    ensure!(user["groups"] == json!(["oidc:developers", "system:authenticated"]), "{user}");
    // view reads pods in every namespace, and no Secret in any.
    let pods = desk.types("KUBECONFIG=staging.yaml kubectl get pods --namespace latchkey").await?;
    ensure!(pods.stdout.matches("Running").count() == 2, "{}", pods.seen());
    let secrets = desk.tries("KUBECONFIG=staging.yaml kubectl get secrets --namespace latchkey").await?;
    ensure!(!secrets.ok && secrets.stderr.contains("Forbidden"), "{}", secrets.seen());
    ensure!(desk.person.invitations()?.len() == 1, "the browser opens once: {:?}", desk.person.invitations()?);
    Ok(())
}

async fn does(desk: &Desk<'_>, command: &str) -> Result<String> {
    let made = desk.checkout().join("target/image");
    if command == "cargo image" {
        let tarball = Image::build().await?;
        fs::create_dir_all(&made)?;
        let named = made.join(tarball.file_name().context("a file")?);
        // Beside the tests' own or on another disk.
        return fs::copy(&tarball, named).map(|_| String::new()).context("copying the image");
    }
    if let Some(words) = command.strip_prefix("skopeo copy ") {
        let (from, to) = words.split_once(' ').context("from and to")?;
        let file = from.strip_prefix("oci-archive:").context("an archive")?.replace("x86_64", std::env::consts::ARCH);
        desk.cluster.import_image(&desk.checkout().join(file)).await?;
        let reference = to.strip_prefix("docker://").context("a registry")?;
        desk.cluster.rename_image(BUILT, reference).await?;
        return Ok(String::new());
    }
    if let Some(words) = command.strip_prefix("cargo install ") {
        ensure!(words == "--locked --path login-plugin --profile plugin", "{words}");
        ensure!(desk.checkout().join("login-plugin/Cargo.toml").exists());
        ensure!(fs::read_to_string(desk.checkout().join("Cargo.toml"))?.contains("\n[profile.plugin]\n"));
        desk.install(&Programs::find().await?.plugin)?;
        return Ok(String::new());
    }
    Ok(desk.types(command).await?.seen())
}

/// All of it, as the chart's page says. (`tests/install_helm` sees what is left at each step.)
pub(crate) async fn take_away(desk: &Desk<'_>) -> Result<()> {
    for command in [
        "kubectl delete -f access.yaml",
        "helm uninstall latchkey --namespace latchkey --wait",
        "kubectl delete crd -l app.kubernetes.io/part-of=latchkey",
        "kubectl delete namespace latchkey",
    ] {
        desk.types(command).await?;
    }
    Ok(())
}
