//! Files that are read again as they change: one look after the other, and what cannot be used never takes the place of what
//! could.

use std::{fmt, time::Duration};

use tokio::time::sleep;

/// How often files are looked at. A mounted Secret changes by a swapped link, which no watch on a file sees.
pub const LOOK: Duration = Duration::from_secs(10);

/// Files that mean something together.
pub trait Files {
    /// Whose they are, as the log says it.
    const OF: &'static str;
    /// Their bytes.
    type Contents: PartialEq;
    /// What they mean.
    type Parsed;
    /// Why they cannot be used, fit for the log.
    type Error: fmt::Display;

    /// Reads them.
    ///
    /// # Errors
    /// When one cannot be read.
    fn read(&self) -> impl Future<Output = Result<Self::Contents, Self::Error>> + Send;

    /// What was read, understood.
    ///
    /// # Errors
    /// When one is not what it should be.
    fn parse(&self, contents: &Self::Contents) -> Result<Self::Parsed, Self::Error>;
}

/// Files with what was last seen in them and could be used.
pub struct FileWatch<F: Files> {
    files: F,
    seen: F::Contents,
    told: bool,
}

// === impl FileWatch ===

impl<F: Files> FileWatch<F> {
    /// Reads `files` for the first time.
    ///
    /// # Errors
    /// When one cannot be read, or is not what it should be.
    pub async fn begin(files: F) -> Result<(Self, F::Parsed), F::Error> {
        let seen = files.read().await?;
        let parsed = files.parse(&seen)?;
        Ok((Self { files, seen, told: false }, parsed))
    }

    /// Waits until it is time for the next look, and returns what is new. What cannot be used is told once, until a look
    /// finds nothing wrong.
    pub async fn look(&mut self) -> Option<F::Parsed> {
        sleep(LOOK).await;
        match self.again().await {
            Ok(found) => {
                self.told = false;
                found
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, "Cannot use the files of {}, keeping what they held", F::OF);
                }
                None
            }
        }
    }

    async fn again(&mut self) -> Result<Option<F::Parsed>, F::Error> {
        let contents = self.files.read().await?;
        if contents == self.seen {
            return Ok(None);
        }
        let parsed = self.files.parse(&contents)?;
        self.seen = contents;
        Ok(Some(parsed))
    }
}

/// Says where the files are and nothing of what is in them: a key may be.
impl<F: Files + fmt::Debug> fmt::Debug for FileWatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    /// Numbers "in a file"; `None`: there is no file.
    #[derive(Debug)]
    struct Number(Mutex<Option<&'static str>>);

    impl Files for &Number {
        const OF: &'static str = "a test";
        type Contents = &'static str;
        type Parsed = u32;
        type Error = String;

        async fn read(&self) -> Result<&'static str, String> {
            self.0.lock().unwrap().ok_or_else(|| "no file".to_owned())
        }

        fn parse(&self, contents: &&'static str) -> Result<u32, String> {
            contents.parse().map_err(|_| format!("expected a number, found {contents}"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_new_and_can_be_used_is_found_and_each_look_has_its_time() {
        let number = Number(Mutex::new(Some("one")));
        assert_eq!(FileWatch::begin(&number).await.unwrap_err(), "expected a number, found one");
        *number.0.lock().unwrap() = Some("1");
        let (mut watch, first) = FileWatch::begin(&number).await.unwrap();
        assert_eq!(first, 1);
        let began = Instant::now();
        for (contents, found, told) in [
            (Some("1"), None, false),
            (Some("2"), Some(2), false),
            (Some("two"), None, true),
            (None, None, true),
            // As it was before it was spoilt: nothing is new, and the next trouble is told again.
            (Some("2"), None, false),
            (None, None, true),
            (Some("3"), Some(3), false),
        ] {
            *number.0.lock().unwrap() = contents;
            assert_eq!((watch.look().await, watch.told), (found, told), "{contents:?}");
        }
        assert_eq!(began.elapsed(), LOOK * 7);
        assert!(!format!("{watch:?}").contains("seen"), "{watch:?}");
    }
}
