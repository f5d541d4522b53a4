//! An image by the OCI specifications, and the one tarball that every tool reads.
//!
//! The tarball is an OCI layout (`oci-layout`, `index.json`, `blobs/`), and by a `manifest.json` beside them what
//! `docker save` writes too: `ctr images import`, `docker load`, `podman load`, `skopeo copy oci-archive:` and
//! `skopeo copy docker-archive:` take the same file.

use std::{
    collections::{BTreeMap, HashMap},
    env,
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::Package;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder, Sha256Digest,
};
use serde_json::json;

use crate::{
    architecture::Architecture,
    digest::sha256,
    layer::{self, File, Files},
    source,
};

/// The name under which the image is imported, without its tag: the chart's default.
pub const REPOSITORY: &str = "latchkey.dev/concierge";

/// The program in the image.
pub const PROGRAM: &str = "latchkey-concierge";

/// Nobody in particular, by number, so that kubelet can see that it is not root (`runAsNonRoot`); the number that
/// distroless images made a custom.
pub const USER: &str = "65532:65532";

/// By which containerd's and Docker's import, and podman's, name an image; the specification's own annotation holds the tag.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Of the specification's own keys.
const PREFIX: &str = "org.opencontainers.image.";

/// What the layer may take on a node's disk, in bytes: 20 MB in the sense of a disk's maker.
pub const BUDGET: usize = 20_000_000;

/// What is said about an image, besides its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it runs on.
    pub architecture: Architecture,
    /// Of Latchkey, and the image's tag.
    pub version: String,
    /// The commit, if known.
    pub revision: Option<String>,
    /// RFC 3339. Not the time of packing, or no two images would be equal.
    pub created: String,
    /// Labels in the configuration and annotations of the manifest, beside those that follow from the above.
    pub labels: BTreeMap<String, String>,
}

/// A packed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    manifest: Descriptor,
    config: Sha256Digest,
    layer: Sha256Digest,
    reference: Reference,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Of the layer as it lies on a node's disk, in bytes.
    pub unpacked: usize,
    /// Of the layer as it travels, in bytes.
    pub packed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    tag: String,
}

impl Reference {
    fn full(&self) -> String {
        format!("{REPOSITORY}:{}", self.tag)
    }

    fn annotations(&self) -> HashMap<String, String> {
        HashMap::from([(ANNOTATION_REF_NAME.to_owned(), self.tag.clone()), (CONTAINERD_NAME.to_owned(), self.full())])
    }
}

impl Image {
    /// Packs files into an image of one layer.
    ///
    /// # Errors
    /// If there is no [`PROGRAM`] among the files, or a path does not fit into a tar.
    pub fn pack(files: &Files, facts: &Facts) -> Result<Self> {
        ensure!(files.get(PROGRAM).is_some_and(|file| file.executable), "no program {PROGRAM} among the files");
        let mut blobs = Blobs::default();

        let layer = layer::tar(files)?;
        let unpacked = layer.len();
        let diff_id = sha256(&layer);
        let layer = blobs.add(MediaType::ImageLayerGzip, layer::gzip(&layer)?)?;
        let packed = usize::try_from(layer.size())?;

        let labels = facts.labels();
        let config = ConfigBuilder::default()
            .entrypoint([format!("/{PROGRAM}")])
            .user(USER)
            .working_dir("/")
            .labels(labels.clone())
            .build()?;
        let history = HistoryBuilder::default().created(&*facts.created).created_by("cargo image").build()?;
        let mut configuration = ImageConfigurationBuilder::default()
            .created(&*facts.created)
            .architecture(Arch::from(facts.architecture.go_name()))
            .os(Os::Linux)
            .config(config)
            .rootfs(RootFsBuilder::default().typ("layers").diff_ids([format!("sha256:{diff_id}")]).build()?)
            .history([history]);
        if let Some(variant) = facts.architecture.oci_variant() {
            configuration = configuration.variant(variant);
        }
        let config = blobs.add_json(MediaType::ImageConfig, &configuration.build()?)?;

        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(config.clone())
            .layers([layer.clone()])
            .annotations(labels)
            .build()?;
        let mut platform =
            PlatformBuilder::default().architecture(Arch::from(facts.architecture.go_name())).os(Os::Linux);
        if let Some(variant) = facts.architecture.oci_variant() {
            platform = platform.variant(variant);
        }
        let mut manifest = blobs.add_json(MediaType::ImageManifest, &manifest)?;
        manifest.set_platform(Some(platform.build()?));

        Ok(Self {
            manifest,
            config: hash(&config)?,
            layer: hash(&layer)?,
            reference: Reference { tag: facts.version.clone() },
            blobs: blobs.0,
            unpacked,
            packed,
        })
    }

    /// Of the manifest: what a registry knows the image by, what is signed and what is deployed.
    #[must_use]
    pub fn digest(&self) -> String {
        self.manifest.digest().to_string()
    }

    /// Of Latchkey; the tag.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.reference.tag
    }

    /// Name and tag.
    #[must_use]
    pub fn reference(&self) -> String {
        self.reference.full()
    }

    /// The tarball of this image.
    ///
    /// # Errors
    /// Only where a library's signature has one.
    pub fn tarball(&self) -> Result<Vec<u8>> {
        let mut manifest = self.manifest.clone();
        manifest.set_annotations(Some(self.reference.annotations()));
        let mut files = layout(manifest, &self.blobs)?;
        // What `docker save` has, and `docker load` without containerd reads.
        let docker = json!([{
            "Config": blob_path(self.config.as_ref()),
            "RepoTags": [self.reference()],
            "Layers": [blob_path(self.layer.as_ref())],
        }]);
        files.insert("manifest.json".to_owned(), File::data(serde_json::to_vec(&docker)?));
        layer::tar(&files)
    }
}

/// The digest of an index over images of several architectures, and the tarball of them all. (Without the form of
/// `docker save`, which knows one architecture.)
///
/// # Errors
/// If there is no image, or they are not of one version.
pub fn tarball_of_several(images: &[Image]) -> Result<(String, Vec<u8>)> {
    let reference = &images.first().context("no image to make an index of")?.reference;
    ensure!(images.iter().all(|image| image.reference == *reference), "images of several versions in one index");
    let mut blobs = Blobs(images.iter().flat_map(|image| image.blobs.clone()).collect());
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(images.iter().map(|image| image.manifest.clone()).collect::<Vec<_>>())
        .build()?;
    let mut index = blobs.add_json(MediaType::ImageIndex, &index)?;
    index.set_annotations(Some(reference.annotations()));
    let digest = index.digest().to_string();
    Ok((digest, layer::tar(&layout(index, &blobs.0)?)?))
}

impl Facts {
    /// Of an image of this crate: its version, licence and description, and the time of `SOURCE_DATE_EPOCH`.
    ///
    /// # Errors
    /// If that variable is no time.
    pub fn of(architecture: Architecture, package: &Package, revision: Option<String>) -> Result<Self> {
        let said = [
            ("title", Some(package.name.to_string())),
            ("description", package.description.clone()),
            ("licenses", package.license.clone()),
            ("source", package.repository.clone()),
            ("documentation", package.repository.clone()),
        ];
        let labels = said.into_iter().filter_map(|(key, value)| Some((format!("{PREFIX}{key}"), value?)));
        let created = source::created(env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
        Ok(Self { architecture, version: package.version.to_string(), revision, created, labels: labels.collect() })
    }

    /// The specification's predefined keys (annotations.md of the OCI image specification).
    fn labels(&self) -> HashMap<String, String> {
        let mut labels: HashMap<String, String> = self.labels.clone().into_iter().collect();
        let mut insert = |key: &str, value: &str| labels.insert(format!("{PREFIX}{key}"), value.to_owned());
        insert("version", &self.version);
        insert("created", &self.created);
        insert("base.name", "scratch");
        if let Some(revision) = &self.revision {
            insert("revision", revision);
        }
        labels
    }
}

#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Result<Descriptor> {
        let digest = sha256(&bytes);
        let descriptor = DescriptorBuilder::default()
            .media_type(media_type)
            .size(bytes.len() as u64)
            .digest(digest.parse::<Sha256Digest>()?)
            .build()?;
        self.0.insert(digest, bytes);
        Ok(descriptor)
    }

    /// By way of a [`serde_json::Value`], whose members are sorted: the crate's own maps come in any order.
    fn add_json(&mut self, media_type: MediaType, document: &impl serde::Serialize) -> Result<Descriptor> {
        self.add(media_type, canonical(document)?)
    }
}

fn canonical(document: &impl serde::Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(document)?)?)
}

fn hash(descriptor: &Descriptor) -> Result<Sha256Digest> {
    Ok(descriptor.as_digest_sha256().context("a digest that is not SHA-256")?.parse()?)
}

fn blob_path(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

/// The files of an OCI image layout with one entry (image-layout.md).
fn layout(entry: Descriptor, blobs: &BTreeMap<String, Vec<u8>>) -> Result<Files> {
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([entry])
        .build()?;
    let mut files: Files = blobs.iter().map(|(digest, bytes)| (blob_path(digest), File::data(bytes.clone()))).collect();
    files.insert("oci-layout".to_owned(), File::data(r#"{"imageLayoutVersion":"1.0.0"}"#));
    files.insert("index.json".to_owned(), File::data(canonical(&index)?));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn facts(architecture: Architecture) -> Facts {
        Facts {
            architecture,
            version: "1.2.3".to_owned(),
            revision: Some("abc".to_owned()),
            created: "1970-01-01T00:00:00Z".to_owned(),
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d".to_owned())]),
        }
    }

    fn files() -> Files {
        Files::from([
            (PROGRAM.to_owned(), File::program("\x7fELF")),
            ("etc/ssl/certs/ca-certificates.crt".to_owned(), File::data("roots")),
        ])
    }

    fn unpack(tarball: &[u8]) -> BTreeMap<String, Vec<u8>> {
        layer::untar(tarball).unwrap().into_iter().map(|(path, file)| (path, file.contents)).collect()
    }

    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = &files[&blob_path(digest)];
        assert_eq!(descriptor["size"], bytes.len());
        assert_eq!(sha256(bytes), digest);
        bytes
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_and_another_gives_another_digest() {
        // Several times, for a hash map has another order each time.
        let image = || Image::pack(&files(), &facts(Architecture::X86_64)).unwrap();
        let first = image();
        for _ in 0..8 {
            assert_eq!(image().tarball().unwrap(), first.tarball().unwrap());
        }
        let mut other = files();
        other.insert(PROGRAM.to_owned(), File::program("\x7fELG"));
        assert_ne!(Image::pack(&other, &facts(Architecture::X86_64)).unwrap().digest(), first.digest());
    }

    #[test]
    fn the_tarball_is_a_whole_oci_layout() {
        let image = Image::pack(&files(), &facts(Architecture::Aarch64)).unwrap();
        let unpacked = unpack(&image.tarball().unwrap());
        assert_eq!(json(&unpacked["oci-layout"])["imageLayoutVersion"], "1.0.0");
        let index = json(&unpacked["index.json"]);
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], image.digest());
        assert_eq!(entry["annotations"][ANNOTATION_REF_NAME], "1.2.3");
        assert_eq!(entry["annotations"][CONTAINERD_NAME], "latchkey.dev/concierge:1.2.3");
        assert_eq!(entry["platform"], json!({"architecture": "arm64", "os": "linux", "variant": "v8"}));

        let manifest = json(blob(&unpacked, entry));
        assert_eq!(manifest["annotations"]["org.opencontainers.image.revision"], "abc");
        let config = json(blob(&unpacked, &manifest["config"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/latchkey-concierge"]));
        assert_eq!(config["config"]["Labels"], manifest["annotations"]);
        assert_eq!((&config["architecture"], &config["os"]), (&json!("arm64"), &json!("linux")));

        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let layer = blob(&unpacked, &manifest["layers"][0]);
        let tar = layer::gunzip(layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", sha256(&tar))]));
        assert_eq!((image.unpacked, image.packed), (tar.len(), layer.len()));
        assert_eq!(unpack(&tar)[PROGRAM], b"\x7fELF");
        assert_eq!(unpacked.keys().filter(|path| path.starts_with("blobs/")).count(), 3);
    }

    #[test]
    fn the_tarball_is_what_docker_saves_too() {
        let image = Image::pack(&files(), &facts(Architecture::X86_64)).unwrap();
        let unpacked = unpack(&image.tarball().unwrap());
        let saved = &json(&unpacked["manifest.json"])[0];
        assert_eq!(saved["RepoTags"], json!(["latchkey.dev/concierge:1.2.3"]));
        let config = json(&unpacked[saved["Config"].as_str().unwrap()]);
        assert_eq!(config["rootfs"]["type"], "layers");
        assert!(unpacked[saved["Layers"][0].as_str().unwrap()].starts_with(&[0x1f, 0x8b]));
    }

    #[test]
    fn several_architectures_stand_in_one_index() {
        let images = [Architecture::Aarch64, Architecture::X86_64]
            .map(|architecture| Image::pack(&files(), &facts(architecture)).unwrap());
        let (digest, tarball) = tarball_of_several(&images).unwrap();
        let unpacked = unpack(&tarball);
        let entry = &json(&unpacked["index.json"])["manifests"][0];
        assert_eq!(entry["digest"], digest);
        let index = json(blob(&unpacked, entry));
        assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
        for (listed, image) in index["manifests"].as_array().unwrap().iter().zip(&images) {
            assert_eq!(listed["digest"], image.digest());
            let manifest = json(blob(&unpacked, listed));
            let config = json(blob(&unpacked, &manifest["config"]));
            assert_eq!(config["architecture"], listed["platform"]["architecture"]);
            blob(&unpacked, &manifest["layers"][0]);
        }
        assert!(!unpacked.contains_key("manifest.json"));
    }

    #[test]
    fn an_image_without_the_program_is_refused() {
        let mut none = files();
        none.remove(PROGRAM);
        assert!(Image::pack(&none, &facts(Architecture::X86_64)).is_err());
        none.insert(PROGRAM.to_owned(), File::data("not executable"));
        assert!(Image::pack(&none, &facts(Architecture::X86_64)).is_err());
    }
}
