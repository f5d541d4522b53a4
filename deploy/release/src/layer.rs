//! Files in a tar whose bytes follow from its contents alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use tar::{EntryType, Header};

/// The contents and whether they may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The bytes.
    pub contents: Vec<u8>,
    /// Mode 0755, else 0644.
    pub executable: bool,
}

impl File {
    /// One to be read.
    pub fn data(contents: impl Into<Vec<u8>>) -> Self {
        Self { contents: contents.into(), executable: false }
    }

    /// One to be run.
    pub fn program(contents: impl Into<Vec<u8>>) -> Self {
        Self { contents: contents.into(), executable: true }
    }
}

/// Files by their paths, relative and without `.` or `..`.
pub type Files = BTreeMap<String, File>;

/// The files and the folders above them, sorted by name, owned by 0:0, of time 0. Plain `ustar`, which every reader has.
///
/// # Errors
/// If a path is longer than `ustar` can say, or leaves the root.
pub fn tar(files: &Files) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (path, file) in files {
        ensure!(path.split('/').all(|name| !matches!(name, "" | "." | "..")), "{path:?} is not a plain relative path");
        for (end, _) in path.match_indices('/') {
            if folders.insert(&path[..end]) {
                let header = header(EntryType::Directory, 0o755, 0);
                append(&mut builder, header, &path[..=end], &[])?;
            }
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        let header = header(EntryType::Regular, mode, file.contents.len() as u64);
        append(&mut builder, header, path, &file.contents)?;
    }
    builder.into_inner().context("ending a tar")
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append(builder: &mut tar::Builder<Vec<u8>>, mut header: Header, path: &str, contents: &[u8]) -> Result<()> {
    header.set_path(path).with_context(|| format!("{path} in a tar"))?;
    header.set_cksum();
    builder.append(&header, contents).with_context(|| format!("{path} in a tar"))
}

/// The files of a tar, without its folders.
///
/// # Errors
/// If it is none, or has a link or a device in it.
pub fn untar(bytes: &[u8]) -> Result<Files> {
    let mut files = Files::new();
    for entry in tar::Archive::new(bytes).entries().context("reading a tar")? {
        let mut entry = entry.context("reading a tar")?;
        let path = entry.path().context("reading a tar")?.to_str().context("a path that is not UTF-8")?.to_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        ensure!(kind.is_file(), "{path} is neither a file nor a folder");
        let executable = entry.header().mode()? & 0o111 != 0;
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).with_context(|| format!("reading {path}"))?;
        files.insert(path, File { contents, executable });
    }
    Ok(files)
}

/// What was compressed by gzip.
///
/// # Errors
/// If it was not.
pub fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut contents).context("reading gzip")?;
    Ok(contents)
}

/// The bytes in gzip without a name or a time. (flate2 over `miniz_oxide`: zlib's faster heirs choose their code by the CPU,
/// and what they write may follow.)
///
/// # Errors
/// Never in memory; the writer's signature has one.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    // RFC 1952 section 2.3.1: time 0 says that there is none, system 255 that it is unknown.
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(bytes).context("compressing")?;
    encoder.finish().context("compressing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Files {
        Files::from([
            ("etc/ssl/certs/roots.crt".to_owned(), File::data("roots")),
            ("program".to_owned(), File::program("\x7fELF")),
            ("etc/passwd".to_owned(), File::data("")),
        ])
    }

    #[test]
    fn folders_stand_before_what_is_in_them_and_nothing_tells_who_packed_it_when() {
        let packed = tar(&some()).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&*packed).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(
                (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
                (0, 0, 0),
                "{:?}",
                entry.path()
            );
            assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
            seen.push((entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.size().unwrap()));
        }
        let wanted = [
            ("etc/", 0o755, 0),
            ("etc/passwd", 0o644, 0),
            ("etc/ssl/", 0o755, 0),
            ("etc/ssl/certs/", 0o755, 0),
            ("etc/ssl/certs/roots.crt", 0o644, 5),
            ("program", 0o755, 4),
        ];
        assert_eq!(seen, wanted.map(|(path, mode, size)| (path.to_owned(), mode, size)));
    }

    #[test]
    fn what_was_packed_comes_out_again() {
        assert_eq!(untar(&tar(&some()).unwrap()).unwrap(), some());
    }

    #[test]
    fn a_path_out_of_the_root_is_refused() {
        for path in ["/etc/passwd", "../x", "a/../x", "a//x", "./x", ""] {
            let files = Files::from([(path.to_owned(), File::data(""))]);
            assert!(tar(&files).is_err(), "{path:?}");
        }
    }

    #[test]
    fn gzip_names_neither_time_nor_system_and_gives_back_what_it_got() {
        let packed = gzip(b"latchkey").unwrap();
        assert_eq!(packed[4..8], [0; 4]);
        assert_eq!(packed[9], 255);
        assert_eq!(gunzip(&packed).unwrap(), b"latchkey");
        assert!(gunzip(b"latchkey").is_err());
    }
}
