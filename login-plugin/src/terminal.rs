//! The person's terminal on standard input: whether it is ours to read, and one long pasted line from it.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use crate::secret::Secret;

/// A redirect URL is a few KiB; more is a mistake of the clipboard.
const PASTE_MAX_BYTES: usize = 64 * 1024;

const INTERRUPT: u8 = 0x03;
const END_OF_INPUT: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const DELETE: u8 = 0x7F;

/// Why there is no line.
#[derive(Debug, Error)]
pub(crate) enum PasteError {
    /// Ctrl-D, or the terminal went away: the browser may still answer.
    #[error("the terminal gives no more input")]
    Closed,
    /// Ctrl-C, or somebody told us to stop.
    #[error("interrupted")]
    Interrupted,
    /// The terminal does not do as it is told.
    #[error("cannot read from the terminal: {0}")]
    Io(#[from] io::Error),
}

/// Whether standard input is a terminal and we stand in its foreground: a background job that reads is stopped.
pub(crate) fn is_ours() -> bool {
    let stdin = io::stdin();
    stdin.is_terminal() && tcgetpgrp(stdin.as_fd()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// The terminal in a mode that hands over each byte: in its usual mode it cuts lines at 4096 bytes (macOS: 1024), and
/// redirect URLs are longer. Back to what it was when dropped.
struct ByteMode {
    before: Termios,
}

impl ByteMode {
    fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut bytes = before.clone();
        // Without echo: codes do not belong on the screen. Signals stay, so Ctrl-C works as ever.
        bytes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        bytes.special_codes[SpecialCodeIndex::VMIN] = 1;
        bytes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &bytes)?;
        Ok(Self { before })
    }
}

impl Drop for ByteMode {
    fn drop(&mut self) {
        let _terminal_gone = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}

/// Lines from the terminal while it is in byte mode.
pub(crate) struct Paste {
    // Dropped first: the terminal is restored before anything else ends.
    _mode: ByteMode,
    input: AsyncFd<io::Stdin>,
    interrupts: [tokio::signal::unix::Signal; 3],
    line: Vec<u8>,
}

impl Paste {
    /// Takes the terminal. Signals that would end us come to `line` from now on, so that the terminal is restored first.
    ///
    /// # Errors
    /// When the terminal or the signals cannot be had.
    pub(crate) fn start() -> Result<Self, PasteError> {
        let interrupts =
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types whose descriptor may close; standard input stays open"
        )]
        let input = AsyncFd::with_interest(io::stdin(), Interest::READABLE)?;
        Ok(Self { _mode: ByteMode::enter()?, input, interrupts, line: Vec::new() })
    }

    /// The next line, without its end. Reads nothing beyond what the terminal has when it is polled, so that keys pressed
    /// after a login through the browser go to the shell.
    ///
    /// # Errors
    /// When no line will come.
    pub(crate) async fn line(&mut self) -> Result<Secret, PasteError> {
        let Self { input, interrupts: [interrupt, terminate, hangup], line, .. } = self;
        loop {
            let mut ready = tokio::select! {
                ready = input.readable() => ready?,
                _ = interrupt.recv() => return Err(PasteError::Interrupted),
                _ = terminate.recv() => return Err(PasteError::Interrupted),
                _ = hangup.recv() => return Err(PasteError::Interrupted),
            };
            let mut bytes = [0; 4096];
            let count = rustix::io::read(io::stdin().as_fd(), &mut bytes).map_err(io::Error::from)?;
            ready.clear_ready();
            if count == 0 {
                return Err(PasteError::Closed);
            }
            if let Some(finished) = take(line, &bytes[..count])? {
                return Ok(finished);
            }
        }
    }
}

/// Adds typed bytes to the line; the whole line once it has ended.
fn take(line: &mut Vec<u8>, bytes: &[u8]) -> Result<Option<Secret>, PasteError> {
    for &byte in bytes {
        match byte {
            b'\n' | b'\r' => {
                let text = String::from_utf8_lossy(line).into_owned();
                line.clear();
                return Ok(Some(Secret::from(text)));
            }
            // Some terminals send it as a byte after all.
            INTERRUPT => return Err(PasteError::Interrupted),
            END_OF_INPUT if line.is_empty() => return Err(PasteError::Closed),
            END_OF_INPUT => {}
            BACKSPACE | DELETE => {
                line.pop();
            }
            ERASE_LINE => line.clear(),
            _ if line.len() < PASTE_MAX_BYTES => line.push(byte),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Option<String> {
        take(&mut Vec::new(), bytes).unwrap().map(|line| line.expose().to_owned())
    }

    #[test]
    fn a_line_ends_at_return_and_can_be_corrected() {
        assert_eq!(typed(b"abc\n"), Some("abc".to_owned()));
        assert_eq!(typed(b"abc\r"), Some("abc".to_owned()));
        assert_eq!(typed(b"abx\x7fc\n"), Some("abc".to_owned()));
        assert_eq!(typed(b"wrong\x15abc\n"), Some("abc".to_owned()));
        assert_eq!(typed(b"no end"), None);
    }

    #[test]
    fn a_line_longer_than_a_terminals_own_limit_is_whole() {
        let mut line = Vec::new();
        for _ in 0..6 {
            assert!(take(&mut line, &[b'x'; 1024]).unwrap().is_none());
        }
        assert_eq!(take(&mut line, b"\n").unwrap().unwrap().expose().len(), 6 * 1024);
    }

    #[test]
    fn an_endless_line_stops_growing() {
        let mut line = Vec::new();
        for _ in 0..100 {
            assert!(take(&mut line, &[b'x'; 1024]).unwrap().is_none());
        }
        assert_eq!(line.len(), PASTE_MAX_BYTES);
    }

    #[test]
    fn control_keys_end_it() {
        assert!(matches!(take(&mut Vec::new(), b"a\x03"), Err(PasteError::Interrupted)));
        assert!(matches!(take(&mut Vec::new(), b"\x04"), Err(PasteError::Closed)));
    }
}
