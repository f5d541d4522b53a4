//! The person's terminal on standard input: whether it is ours to read, and one long pasted line from it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::printable::Lines;
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

/// Whether standard input is a terminal that is ours to read.
pub(crate) fn is_ours() -> bool {
    is_shared(&io::stdin())
}

/// Whether this is a terminal in whose foreground we stand (a background job that reads is stopped), and one that still
/// works line by line: a program that owns the whole screen (k9s) has switched that off, and any line of ours would be
/// rubbish on it.
pub(crate) fn is_shared(stream: &(impl IsTerminal + AsFd)) -> bool {
    stream.is_terminal()
        && tcgetpgrp(stream).is_ok_and(|group| group == rustix::process::getpgrp())
        && tcgetattr(stream).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON))
}

/// Whether two streams end in one file or pipe that is no terminal, so that what goes into one is found in the other.
pub(crate) fn is_one_pipe(one: &(impl IsTerminal + AsFd), other: &impl AsFd) -> bool {
    let place = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    let (Ok(first), Ok(second)) = (rustix::fs::fstat(one).map(place), rustix::fs::fstat(other).map(place)) else {
        return false;
    };
    first == second && !one.is_terminal()
}

/// Shows a text on the terminal itself, whatever became of standard error. To be used only where the terminal is ours.
pub(crate) fn tell(text: &str) {
    let _no_terminal = File::options()
        .write(true)
        .open("/dev/tty")
        .and_then(|mut terminal| terminal.write_all(format!("{}\n", Lines(text)).as_bytes()));
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
    typed: Typed,
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
        Ok(Self { _mode: ByteMode::enter()?, input, interrupts, typed: Typed::default() })
    }

    /// The next line, without its end. Reads nothing beyond what the terminal has when it is polled, so that keys pressed
    /// after a login through the browser go to the shell.
    ///
    /// # Errors
    /// When no line will come.
    pub(crate) async fn line(&mut self) -> Result<Secret, PasteError> {
        let Self { input, interrupts: [interrupt, terminate, hangup], typed, .. } = self;
        loop {
            if let Some(line) = typed.line()? {
                return Ok(line);
            }
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
            typed.pending.extend(&bytes[..count]);
        }
    }
}

/// What was typed: the line as it stands, and bytes behind the end of the last one.
#[derive(Default)]
struct Typed {
    line: Zeroizing<Vec<u8>>,
    pending: VecDeque<u8>,
}

impl Typed {
    /// The next whole line, if there is one.
    fn line(&mut self) -> Result<Option<Secret>, PasteError> {
        while let Some(byte) = self.pending.pop_front() {
            match byte {
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    return Ok(Some(Secret::from(String::from_utf8_lossy(&line).into_owned())));
                }
                // Some terminals send it as a byte after all.
                INTERRUPT => return Err(PasteError::Interrupted),
                END_OF_INPUT if self.line.is_empty() => return Err(PasteError::Closed),
                END_OF_INPUT => {}
                BACKSPACE | DELETE => {
                    self.line.pop();
                }
                ERASE_LINE => self.line.clear(),
                _ if self.line.len() < PASTE_MAX_BYTES => self.line.push(byte),
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Typed {
        Typed { line: Zeroizing::default(), pending: bytes.iter().copied().collect() }
    }

    fn line(bytes: &[u8]) -> Option<String> {
        typed(bytes).line().unwrap().map(|line| line.expose().to_owned())
    }

    #[test]
    fn a_line_ends_at_return_and_can_be_corrected() {
        assert_eq!(line(b"abc\n"), Some("abc".to_owned()));
        assert_eq!(line(b"abc\r"), Some("abc".to_owned()));
        assert_eq!(line(b"abx\x7fc\n"), Some("abc".to_owned()));
        assert_eq!(line(b"wrong\x15abc\n"), Some("abc".to_owned()));
        assert_eq!(line(b"no end"), None);
    }

    #[test]
    fn what_stands_behind_a_line_is_the_next_one() {
        let mut typed = typed(b"one\ntwo\nthr");
        let mut next = || typed.line().unwrap().map(|line| line.expose().to_owned());
        assert_eq!((next(), next(), next()), (Some("one".to_owned()), Some("two".to_owned()), None));
    }

    #[test]
    fn a_line_longer_than_a_terminals_own_limit_is_whole() {
        let mut long = vec![b'x'; 6 * 1024];
        long.push(b'\n');
        assert_eq!(line(&long).unwrap().len(), 6 * 1024);
    }

    #[test]
    fn an_endless_line_stops_growing() {
        let mut typed = typed(&vec![b'x'; 100 * 1024]);
        assert!(typed.line().unwrap().is_none());
        assert_eq!((typed.line.len(), typed.pending.len()), (PASTE_MAX_BYTES, 0));
    }

    #[test]
    fn control_keys_end_it() {
        assert!(matches!(typed(b"a\x03").line(), Err(PasteError::Interrupted)));
        assert!(matches!(typed(b"\x04").line(), Err(PasteError::Closed)));
    }
}
