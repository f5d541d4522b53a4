//! Opens logs where they lie: plain files, compressed ones, standard input; and puts the parts of one log in order.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use super::verify::{Beginning, beginning};

/// What opens every zstd frame (RFC 8878 section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What ends the name of a compression that did not come to its end; what it was made from is still there.
const PARTIAL: &str = ".zst.partial";

/// Bytes read at once: large enough that the system calls cost nothing.
pub const BLOCK: usize = 256 * 1024;

/// How far a file is looked into for its first record: past a torn line and some foreign ones.
const HEAD: u64 = 64 * 1024;

/// One log file, or a part of one.
pub struct Source {
    /// As it was typed.
    pub name: String,
    path: PathBuf,
    beginning: Option<Beginning>,
    /// What was read of standard input, which cannot be opened again.
    head: Option<Vec<u8>>,
}

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {name}: {error}")]
pub struct Unreadable {
    /// The file.
    pub name: String,
    /// Why.
    pub error: io::Error,
}

impl Source {
    /// A file by its name; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn new(path: &Path) -> Result<Self, Unreadable> {
        let name = path.display().to_string();
        let head = || {
            let mut head = Vec::new();
            open(path)?.take(HEAD).read_to_end(&mut head)?;
            Ok(head)
        };
        let head = head().map_err(|error| Unreadable { name: name.clone(), error })?;
        let beginning = beginning(&head);
        let head = is_stdin(path).then_some(head);
        Ok(Self { name, path: path.to_owned(), beginning, head })
    }

    /// Its bytes from the first on, decompressed.
    ///
    /// # Errors
    /// When it cannot be opened any more.
    pub fn open(&mut self) -> Result<Box<dyn Read>, Unreadable> {
        match self.head.take() {
            Some(head) => Ok(Box::new(Cursor::new(head).chain(io::stdin()))),
            None => open(&self.path).map_err(|error| Unreadable { name: self.name.clone(), error }),
        }
    }

    /// Hands its bytes out in blocks.
    ///
    /// # Errors
    /// When it cannot be read to its end.
    pub fn for_each_block(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        let mut input = self.open()?;
        let mut block = vec![0; BLOCK];
        loop {
            match input.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => each(&block[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Unreadable { name: self.name.clone(), error }),
            }
        }
    }
}

/// Opens each of `paths`, and puts them in the order in which they were written: parts of one log by the number of their
/// first record, however their names sort, and several logs by time. What compressing left beside what it made of it, for a
/// moment or since a crash, is passed over: `audit*.jsonl*` may name all that is there.
///
/// # Errors
/// When one cannot be opened.
pub fn in_order(paths: &[PathBuf]) -> Result<Vec<Source>, Unreadable> {
    let mut sources = Vec::new();
    for path in paths {
        if !is_superseded(path, paths)? {
            sources.push(Source::new(path)?);
        }
    }
    // Files that begin with the same log form a row in the order of its numbers; rows are merged by time.
    let mut rows: Vec<Vec<Source>> = Vec::new();
    for source in sources {
        let same = |row: &&mut Vec<Source>| identity(&row[0]).is_some() && identity(&row[0]) == identity(&source);
        match rows.iter_mut().find(same) {
            Some(row) => row.push(source),
            None => rows.push(vec![source]),
        }
    }
    for row in &mut rows {
        // What begins last is taken first from the end.
        let beginning = |source: &Source| source.beginning.as_ref().map(|beginning| (beginning.seq, time(source)));
        // Records about the log take no number of their own: parts that begin with one number are told apart by time.
        row.sort_by_key(|source| std::cmp::Reverse(beginning(source)));
        // If that is the same too, they keep the order in which they were typed.
        for same in row.chunk_by_mut(|one, other| beginning(one) == beginning(other)) {
            same.reverse();
        }
    }
    let mut ordered = Vec::new();
    while let Some(next) =
        (0..rows.len()).filter(|row| !rows[*row].is_empty()).min_by_key(|row| rows[*row].last().map(time))
    {
        ordered.extend(rows[next].pop());
    }
    Ok(ordered)
}

fn identity(source: &Source) -> Option<&super::chain::Identity> {
    source.beginning.as_ref().map(|beginning| &beginning.identity)
}

fn time(source: &Source) -> Option<String> {
    source.beginning.as_ref().map(|beginning| beginning.time.clone())
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether a file is an unfinished compression, or the very text of its compressed form, which is given too.
fn is_superseded(path: &Path, all: &[PathBuf]) -> Result<bool, Unreadable> {
    let mut compressed = path.as_os_str().to_owned();
    compressed.push(".zst");
    let compressed = PathBuf::from(compressed);
    if path.to_str().is_some_and(|path| path.ends_with(PARTIAL)) {
        return Ok(true);
    }
    if is_stdin(path) || !all.contains(&compressed) {
        return Ok(false);
    }
    let same = same_text(path, &compressed);
    same.map_err(|error| Unreadable { name: path.display().to_string(), error })
}

fn same_text(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (open(one)?, open(other)?);
    let (mut left, mut right) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    loop {
        left.clear();
        right.clear();
        one.by_ref().take(BLOCK as u64).read_to_end(&mut left)?;
        other.by_ref().take(BLOCK as u64).read_to_end(&mut right)?;
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

/// The bytes of a file, decompressed if they are compressed, whatever it is called.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if is_stdin(path) {
        return Ok(Box::new(io::stdin()));
    }
    let mut file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder: name the files in it"));
    }
    let mut mark = Vec::new();
    Read::by_ref(&mut file).take(ZSTD.len() as u64).read_to_end(&mut mark)?;
    let whole = Cursor::new(mark.clone()).chain(file);
    if mark == ZSTD {
        // The decoder takes windows of 128 MiB at most by itself: a file cannot make us use more.
        return Ok(Box::new(zstd::stream::read::Decoder::new(whole)?));
    }
    Ok(Box::new(whole))
}
