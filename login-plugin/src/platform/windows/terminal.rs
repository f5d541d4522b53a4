//! The person's console on standard input: whether it is ours to read, and one long pasted line from it.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode, is_raw_mode_enabled};
use thiserror::Error;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::printable::Lines;
use crate::secret::Secret;

/// A redirect URL is a few KiB; more is a mistake of the clipboard.
const PASTE_MAX_BYTES: usize = 64 * 1024;

/// Between two looks at the console: not noticed by a person, nothing for the processor. The console gives no event that
/// could be waited for together with the browser's answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why there is no line.
#[derive(Debug, Error)]
pub(crate) enum PasteError {
    /// Ctrl-Z, or the console went away: the browser may still answer.
    #[error("the terminal gives no more input")]
    Closed,
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The console does not do as it is told.
    #[error("cannot read from the terminal: {0}")]
    Io(#[from] io::Error),
}

/// Whether two streams are one pipe. No client on Windows is known to do that, and there is no portable way to ask.
pub(crate) fn is_one_pipe(_one: &impl IsTerminal, _other: &impl IsTerminal) -> bool {
    false
}

/// Whether standard input is a console that we may read and write line by line.
pub(crate) fn is_ours() -> bool {
    is_shared(&io::stdin())
}

/// Whether this is a console that still works line by line: a program that owns the whole screen has switched that off, and
/// any line of ours would be rubbish on it. There are no background jobs that could be stopped for reading.
pub(crate) fn is_shared(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_raw_mode_enabled().unwrap_or(false)
}

/// Shows a text on the console itself, whatever became of standard error. To be used only where the console is ours.
pub(crate) fn tell(text: &str) {
    let _no_console = OpenOptions::new()
        .write(true)
        .open("CONOUT$")
        .and_then(|mut console| console.write_all(format!("{}\r\n", Lines(text)).as_bytes()));
}

/// The console without line editing and echo: its own lines are cut, and codes do not belong on the screen. Back to what it
/// was when dropped.
struct ByteMode;

impl ByteMode {
    fn enter() -> io::Result<Self> {
        enable_raw_mode().map(|()| Self)
    }
}

impl Drop for ByteMode {
    fn drop(&mut self) {
        let _console_gone = disable_raw_mode();
    }
}

/// Lines from the console while it is in byte mode.
pub(crate) struct Paste {
    _mode: ByteMode,
    line: Zeroizing<String>,
}

impl Paste {
    /// Takes the console.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn start() -> Result<Self, PasteError> {
        Ok(Self { _mode: ByteMode::enter()?, line: Zeroizing::default() })
    }

    /// The next line, without its end. Reads nothing beyond what the console has when it is looked at, so that keys pressed
    /// after a login through the browser go to the shell.
    ///
    /// # Errors
    /// When no line will come.
    pub(crate) async fn line(&mut self) -> Result<Secret, PasteError> {
        loop {
            while poll(Duration::ZERO)? {
                if let Event::Key(key) = read()?
                    && let Some(line) = typed(&mut self.line, &key)?
                {
                    return Ok(line);
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn typed(line: &mut Zeroizing<String>, key: &KeyEvent) -> Result<Option<Secret>, PasteError> {
    if key.kind == KeyEventKind::Release {
        return Ok(None);
    }
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Char('c'), true) => return Err(PasteError::Interrupted),
        (KeyCode::Char('z' | 'd'), true) if line.is_empty() => return Err(PasteError::Closed),
        (KeyCode::Char('u'), true) => line.clear(),
        (KeyCode::Enter, _) => return Ok(Some(Secret::from(std::mem::take(&mut **line)))),
        (KeyCode::Backspace, _) => drop(line.pop()),
        (KeyCode::Char(character), false) if line.len() < PASTE_MAX_BYTES => line.push(character),
        _ => {}
    }
    Ok(None)
}
