//! Follows a log that is being written, through rotation: the old file to its end, then the new one under the same name.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{read::BLOCK, verify::LONGEST_LINE};

/// A file that grows, and may be replaced.
pub struct Follower {
    path: PathBuf,
    file: Option<File>,
    position: u64,
    /// A line whose end is not written yet.
    partial: Vec<u8>,
}

impl Follower {
    /// Follows the file of this name from its beginning.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::other("it is a folder: name a file in it"));
        }
        Ok(Self { path: path.to_owned(), file: Some(file), position: 0, partial: Vec::new() })
    }

    /// Hands out each whole line that has been written since the last call. Where the file was replaced, the rest of the
    /// old one comes first.
    ///
    /// # Errors
    /// When the file cannot be read, or `each` fails.
    pub fn look(&mut self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.read(&mut each)?;
        if self.is_replaced()? {
            // Between the two looks something may have been written to it: nothing is any more.
            self.read(&mut each)?;
            self.partial.clear();
            self.file = None;
        }
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => {
                    self.file = Some(file);
                    self.position = 0;
                    self.read(&mut each)?;
                }
                // The next one is not there yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, each: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if file.metadata()?.len() < self.position {
            // Cut back: by the sink after a batch that failed, or by somebody.
            file.rewind()?;
            self.position = 0;
            self.partial.clear();
        }
        let mut block = vec![0; BLOCK];
        loop {
            let read = match file.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.position += read as u64;
            for piece in block[..read].split_inclusive(|byte| *byte == b'\n') {
                // Of a line that is longer than any record the end is enough: it is none.
                if self.partial.len() + piece.len() > LONGEST_LINE {
                    self.partial.clear();
                }
                self.partial.extend_from_slice(piece);
                if self.partial.pop_if(|last| *last == b'\n').is_some() {
                    each(&self.partial)?;
                    self.partial.clear();
                }
            }
        }
    }

    fn is_replaced(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        match fs::metadata(&self.path) {
            Ok(now) => {
                let own = file.metadata()?;
                Ok((now.dev(), now.ino()) != (own.dev(), own.ino()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn look(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        follower
            .look(|line| {
                lines.push(String::from_utf8_lossy(line).into_owned());
                Ok(())
            })
            .unwrap();
        lines
    }

    #[test]
    fn lines_come_whole_and_through_rotation() {
        let folder = std::env::temp_dir().join(format!("latchkey-follow-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let (path, rotated) = (folder.join("audit.jsonl"), folder.join("audit-1.jsonl"));
        let append = |path: &Path, text: &str| {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append(&path, "one\ntw");
        let mut follower = Follower::new(&path).unwrap();
        assert_eq!(look(&mut follower), ["one"]);
        assert_eq!(look(&mut follower), [""; 0]);
        append(&path, "o\nthree\n");
        assert_eq!(look(&mut follower), ["two", "three"]);
        fs::rename(&path, &rotated).unwrap();
        append(&rotated, "four\n");
        assert_eq!(look(&mut follower), ["four"], "the old file to its end, and no new one yet");
        append(&path, "five\n");
        assert_eq!(look(&mut follower), ["five"]);
        fs::write(&path, "6\n").unwrap();
        assert_eq!(look(&mut follower), ["6"], "cut back");
        fs::write(&rotated, "seven\n").unwrap();
        fs::rename(&rotated, &path).unwrap();
        assert_eq!(look(&mut follower), ["seven"], "replaced at one stroke");
        fs::remove_dir_all(folder).unwrap();
    }
}
