//! Signed notes, read: strictly, so that two readers never see two different checkpoints in one text.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    super::chain::Root,
    key::{PublicKey, SIGNATURE_MARK},
};

/// Longest note: a name of a few hundred bytes, a number, a hash, and signature lines of as much again.
pub const MAX_NOTE_BYTES: usize = 8 * 1024;

/// Most signature lines: ours have two at most, witnesses may add theirs.
const MAX_SIGNATURES: usize = 16;

/// A checkpoint as it was read. What it says counts only once [`Note::verify`] said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The log's name.
    pub origin: String,
    /// How many lines the log had.
    pub size: u64,
    /// The root of their tree.
    pub root: Root,
    /// What was signed.
    text: String,
    signatures: Vec<Signature>,
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_BYTES`].
    #[error("a note of more than {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// Control characters have no place in a note.
    #[error("a control character in a note")]
    ControlCharacter,
    /// Not three lines, a blank line and signature lines, each with its newline.
    #[error("expected three lines, a blank line and signature lines")]
    Shape,
    /// The first line is empty.
    #[error("the log's name is empty")]
    Origin,
    /// The second line is no number as C2SP writes it.
    #[error("expected a decimal number of lines without leading zeros")]
    Size,
    /// The third line is no hash.
    #[error("expected the root hash: 32 bytes in base64")]
    Root,
    /// A line below the blank line is no signature.
    #[error("expected signature lines: an em dash, the key's name, and base64")]
    Signature,
    /// More than sixteen signature lines.
    #[error("more than {MAX_SIGNATURES} signature lines")]
    TooManySignatures,
}

/// Why no known key vouches for a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// No signature line is by a known key.
    #[error("signed by no key that was given")]
    UnknownKey,
    /// A line claims a known key, and its signature is wrong.
    #[error("the signature is wrong: it was not made over this text")]
    Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

// === impl Note ===

impl Note {
    /// Reads one signed checkpoint.
    ///
    /// # Errors
    /// When the text is anything else, however slightly.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::ControlCharacter);
        }
        let mut lines = note.strip_suffix('\n').ok_or(NoteError::Shape)?.split('\n');
        let mut next = || lines.next().ok_or(NoteError::Shape);
        let (origin, size, root, blank) = (next()?, next()?, next()?, next()?);
        if origin.is_empty() {
            return Err(NoteError::Origin);
        }
        let size = decimal(size).ok_or(NoteError::Size)?;
        let root: Root = root.parse().map_err(|_| NoteError::Root)?;
        if !blank.is_empty() {
            return Err(NoteError::Shape);
        }
        let mut signatures = Vec::new();
        for line in lines {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::Signature)?);
        }
        if signatures.is_empty() {
            return Err(NoteError::Signature);
        }
        let text = format!("{origin}\n{size}\n{root}\n");
        Ok(Self { origin: origin.to_owned(), size, root, text, signatures })
    }

    /// Which of `keys` vouches for this checkpoint. A log signs under its own name, so lines under other names (a
    /// witness's) are passed over, and so are those of unknown keys; but no line by a known key may be wrong.
    ///
    /// # Errors
    /// When no line is by a known key, or one that claims to be is wrong.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<PublicKey, SignatureProblem> {
        let mut vouching = None;
        for signature in self.signatures.iter().filter(|signature| signature.name == self.origin) {
            let mut claimed = keys.iter().filter(|key| key.id(&self.origin) == signature.id).peekable();
            if claimed.peek().is_none() {
                continue;
            }
            // Four bytes can be the same for two keys: one of them must have signed.
            let signer = claimed.find(|key| key.signed(self.text.as_bytes(), &signature.bytes));
            vouching = vouching.or(Some(*signer.ok_or(SignatureProblem::Wrong)?));
        }
        vouching.ok_or(SignatureProblem::UnknownKey)
    }
}

/// All checkpoints in a text that holds one after another, as somebody collects them in a file; blank lines between them
/// are passed over.
///
/// # Errors
/// When anything else stands between them. The number is the line where what could not be read begins, from one.
pub fn notes_in(text: &str) -> Result<Vec<Note>, (usize, NoteError)> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut notes = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_ascii().is_empty() {
            at += 1;
            continue;
        }
        let head = lines.len().min(at + 4);
        let signatures = lines[head..].iter().take_while(|line| line.starts_with(SIGNATURE_MARK)).count();
        let end = head + signatures;
        let mut note = lines[at..end].concat();
        if !note.ends_with('\n') {
            // The last newline is often lost when a text is copied; nothing else can follow it.
            note.push('\n');
        }
        notes.push(Note::parse(&note).map_err(|error| (at + 1, error))?);
        at = end;
    }
    Ok(notes)
}

/// A number with one text: no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

// === impl Signature ===

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        if name.is_empty() || name.contains(|character: char| character.is_whitespace() || character == '+') {
            return None;
        }
        let bytes = STANDARD.decode(base64).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (!signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            bytes: signature.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Keys, SigningKey, sign},
        *,
    };

    fn note() -> (String, PublicKey) {
        let key = SigningKey::from_seed(&[5; 32]).unwrap();
        let public = key.public();
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap();
        (sign("log", 10, &root, &Keys::one(key)), public)
    }

    #[test]
    fn one_checkpoint_has_one_text() {
        use NoteError as E;
        let (note, _) = note();
        let lines: Vec<&str> = note.lines().collect();
        let signature = lines[4];
        let head = "log\n10\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n";
        let many = format!("{head}{}", format!("{signature}\n").repeat(17));
        for (wrong, expected) in [
            (String::new(), E::Shape),
            (note.trim_end().to_owned(), E::Shape),
            (note.replacen("log\n", "\n", 1), E::Origin),
            (note.replacen("\n10\n", "\n010\n", 1), E::Size),
            (note.replacen("\n10\n", "\n+10\n", 1), E::Size),
            (note.replacen("\n10\n", "\n18446744073709551616\n", 1), E::Size),
            (note.replacen("SuFU=", "SuFV=", 1), E::Root),
            (note.replacen("SuFU=", "SuFU", 1), E::Root),
            (note.replacen("=\n\n", "=\nextension\n\n", 1), E::Shape),
            (note.replacen("=\n\n", "=\n", 1), E::Shape),
            (note.replacen("=\n\n", "=\n\n\n", 1), E::Signature),
            (head.to_owned(), E::Signature),
            (note.replacen('\u{2014}', "-", 1), E::Signature),
            (format!("{note}\n"), E::Signature),
            (note.replacen("\n10\n", "\r\n10\n", 1), E::ControlCharacter),
            (note.replacen("\u{2014} log ", "\u{2014} l+g ", 1), E::Signature),
            (format!("{head}\u{2014} log AAAAAA==\n"), E::Signature),
            (many, E::TooManySignatures),
            ("x".repeat(MAX_NOTE_BYTES + 1), E::TooLong),
        ] {
            assert_eq!(Note::parse(&wrong), Err(expected), "{wrong:?}");
        }
    }

    #[test]
    fn strangers_are_passed_over_and_a_wrong_signature_is_not() {
        let (note, key) = note();
        let parsed = Note::parse(&note).unwrap();
        assert_eq!(parsed.verify(&[key]), Ok(key));
        let witnessed = format!("{note}\u{2014} witness.example/w AAAAAAAAAA==\n\u{2014} log AAAAAAAAAA==\n");
        assert_eq!(Note::parse(&witnessed).unwrap().verify(&[key]), Ok(key));
        for forged in [note.replacen("\n10\n", "\n11\n", 1), note.replacen("47DE", "57DE", 1)] {
            assert_eq!(Note::parse(&forged).unwrap().verify(&[key]), Err(SignatureProblem::Wrong));
        }
        // Under another name it is another key's signature.
        let renamed = note.replacen("log\n", "gol\n", 1);
        assert_eq!(Note::parse(&renamed).unwrap().verify(&[key]), Err(SignatureProblem::UnknownKey));
        let renamed = renamed.replacen("\u{2014} log ", "\u{2014} gol ", 1);
        assert_eq!(Note::parse(&renamed).unwrap().verify(&[key]), Err(SignatureProblem::UnknownKey));
        // A right line does not make up for a wrong one of the same key.
        let forged = note.replacen("\n10\n", "\n11\n", 1);
        let both = format!("{forged}{}\n", note.lines().last().unwrap());
        assert_eq!(Note::parse(&both).unwrap().verify(&[key]), Err(SignatureProblem::Wrong));
    }

    #[test]
    fn a_file_may_hold_several() {
        let (note, _) = note();
        let one = Note::parse(&note).unwrap();
        assert_eq!(notes_in(""), Ok(vec![]));
        assert_eq!(notes_in(note.trim_end()), Ok(vec![one.clone()]));
        assert_eq!(notes_in(&format!("\n{note}{note}\n\n{note}\n")), Ok(vec![one.clone(), one.clone(), one]));
        assert_eq!(notes_in(&format!("{note}x\n")), Err((6, NoteError::Shape)));
        assert_eq!(notes_in("prose\n"), Err((1, NoteError::Shape)));
    }
}
