//! How often a pattern repeats: what Go refuses of it, and the `regex` crate would take.

/// Most times that something may be repeated, counting nested repetitions as their product (Go's `regexp/syntax`).
const MAX_REPEAT: u32 = 1_000;

/// What an opening brace begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Braces {
    /// A repetition.
    Repeat {
        /// Bytes of it, the braces included.
        length: usize,
        /// The most times, or the least where there is no most.
        times: u32,
    },
    /// A repetition that Go refuses.
    Refused,
    /// A brace that means itself.
    Itself,
}

/// Follows a pattern from its first character to its last.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The most that anything in the group around is repeated, for each group that is open.
    groups: Vec<u32>,
    /// As much for the innermost group.
    group: u32,
    /// How often the last piece is repeated.
    piece: u32,
    /// Whether the last piece ends with an operator, after which Go takes no other (`a**`, `a++`).
    repeated: bool,
}

impl Repeats {
    /// A character, a class, an anchor: something that stands for itself.
    pub(super) fn piece(&mut self) {
        (self.piece, self.repeated) = (1, false);
    }

    /// `(`
    pub(super) fn open(&mut self) {
        self.groups.push(self.group);
        (self.group, self.piece, self.repeated) = (0, 0, false);
    }

    /// `)`
    pub(super) fn close(&mut self) {
        let inside = self.group;
        self.group = self.groups.pop().unwrap_or(0).max(inside);
        (self.piece, self.repeated) = (inside.max(1), false);
    }

    /// `*`, `+`, `?` or braces with their times. `None` where Go refuses it.
    pub(super) fn operator(&mut self, times: u32) -> Option<()> {
        if self.repeated {
            return None;
        }
        self.repeated = true;
        // What is repeated no times counts no more.
        self.piece = if times == 0 { 1 } else { self.piece.max(1).checked_mul(times)? };
        self.group = self.group.max(self.piece);
        (self.piece <= MAX_REPEAT).then_some(())
    }
}

impl Braces {
    /// What the brace is that `text` begins with.
    pub(super) fn parse(text: &str) -> Self {
        let Some((inside, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
            return Self::Itself;
        };
        let bounds = match inside.split_once(',') {
            None => number(inside).map(|times| (times, times)),
            Some((least, "")) => number(least).map(|least| (least, least)),
            Some((least, most)) => number(least).zip(number(most)),
        };
        match bounds {
            None => Self::Itself,
            Some((least, most)) if least <= most && most <= MAX_REPEAT => {
                Self::Repeat { length: inside.len() + 2, times: most }
            }
            Some(_) => Self::Refused,
        }
    }
}

/// Digits without a leading zero; what is too long for a number is as much too large as any.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_repeat_mean_themselves_or_are_refused() {
        assert_eq!(Braces::parse("{3}x"), Braces::Repeat { length: 3, times: 3 });
        assert_eq!(Braces::parse("{3,}"), Braces::Repeat { length: 4, times: 3 });
        assert_eq!(Braces::parse("{0,1000}"), Braces::Repeat { length: 8, times: 1000 });
        for itself in ["{", "{}", "{,3}", "{a}", "{1,a}", "{01}", "{1 }", "{-1}"] {
            assert_eq!(Braces::parse(itself), Braces::Itself, "{itself}");
        }
        for refused in ["{1001}", "{2,1}", "{1,1001}", "{99999999999}"] {
            assert_eq!(Braces::parse(refused), Braces::Refused, "{refused}");
        }
    }
}
