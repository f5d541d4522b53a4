//! Points in time as Go keeps them: nanoseconds, from the year 1 to 9999, with the offset that they were written in.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use super::calendar::Date;

/// A point in time. Two are equal when they are the same moment; the offset only matters to printing.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    /// Since 1970-01-01T00:00:00Z.
    seconds: i64,
    /// Below 10^9.
    nanoseconds: u32,
    /// Seconds east of Greenwich in the text that this was read from.
    offset: i64,
}

/// What the clock on a wall shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WallTime {
    pub(super) date: Date,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) nanosecond: i64,
}

/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;
const DAY: i64 = 24 * 60 * 60;
const NANOSECONDS: i64 = 1_000_000_000;

// === impl Timestamp ===

impl Timestamp {
    /// From whole seconds since 1970-01-01T00:00:00Z; `None` before the year 1 or after 9999.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        Self::new(seconds, 0, 0)
    }

    /// Reads RFC 3339, as leniently as Go's `time.Parse` does: one digit is enough for the hour, a comma may stand before
    /// the fraction, an offset may have up to 24 hours and 60 minutes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader(text.as_bytes());
        let year = reader.digits(4)?;
        reader.expect(b'-')?;
        let month = reader.digits(2)?;
        reader.expect(b'-')?;
        let date = Date { year, month, day: reader.digits(2)? };
        reader.expect(b'T')?;
        let hour = reader.digits(2).or_else(|| reader.digits(1))?;
        reader.expect(b':')?;
        let minute = reader.digits(2)?;
        reader.expect(b':')?;
        let second = reader.digits(2)?;
        let nanoseconds = reader.fraction();
        let offset = reader.offset()?;
        let valid = date.exists() && hour < 24 && minute < 60 && second < 60 && reader.0.is_empty();
        let seconds = date.days() * DAY + hour * 3600 + minute * 60 + second - offset;
        valid.then(|| Self::new(seconds, nanoseconds, offset))?
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn as_seconds(&self) -> i64 {
        self.seconds
    }

    /// This and `nanoseconds` more; `None` outside of the years 1 to 9999.
    #[must_use]
    pub fn plus(&self, nanoseconds: i64) -> Option<Self> {
        let total = i64::from(self.nanoseconds) + nanoseconds.rem_euclid(NANOSECONDS);
        let seconds = self.seconds + nanoseconds.div_euclid(NANOSECONDS) + total / NANOSECONDS;
        Self::new(seconds, u32::try_from(total % NANOSECONDS).ok()?, self.offset)
    }

    /// This less `nanoseconds`; `None` as for [`Timestamp::plus`], and for the one number that has no negative.
    #[must_use]
    pub fn minus(&self, nanoseconds: i64) -> Option<Self> {
        self.plus(nanoseconds.checked_neg()?)
    }

    /// Nanoseconds from `earlier` to this; `None` if they do not fit into 64 bits, which is about 292 years.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<i64> {
        let fraction = i64::from(self.nanoseconds) - i64::from(earlier.nanoseconds);
        (self.seconds - earlier.seconds).checked_mul(NANOSECONDS)?.checked_add(fraction)
    }

    /// The wall time `offset` seconds east of Greenwich.
    pub(super) fn wall_time(&self, offset: i64) -> WallTime {
        let local = self.seconds + offset;
        let second_of_day = local.rem_euclid(DAY);
        WallTime {
            date: Date::from_days(local.div_euclid(DAY)),
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            nanosecond: i64::from(self.nanoseconds),
        }
    }

    fn new(seconds: i64, nanoseconds: u32, offset: i64) -> Option<Self> {
        (FIRST..=LAST).contains(&seconds).then_some(Self { seconds, nanoseconds, offset })
    }

    const fn moment(&self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }
}

/// RFC 3339 with as many digits of the second as needed, in the offset that it was written in.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WallTime { date, hour, minute, second, nanosecond } = self.wall_time(self.offset);
        write!(f, "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", date.year, date.month, date.day)?;
        if nanosecond != 0 {
            let digits = format!("{nanosecond:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.moment() == other.moment()
    }
}

impl Eq for Timestamp {}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.moment().cmp(&other.moment())
    }
}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.moment().hash(state);
    }
}

// === impl Reader ===

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Exactly `count` digits; nothing is taken if there are fewer.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits
            .iter()
            .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    /// The fraction of a second in nanoseconds, if there is one; digits beyond the ninth say nothing.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', digits @ ..] = self.0 else { return 0 };
        let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        self.0 = &digits[count..];
        (0..9).fold(0, |number, place| {
            number * 10 + digits[..count].get(place).map_or(0, |digit| u32::from(digit - b'0'))
        })
    }

    /// `Z`, or hours and minutes with a sign, in seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.expect(b'Z').is_some() {
            return Some(0);
        }
        let sign = if self.expect(b'-').is_some() {
            -1
        } else {
            self.expect(b'+')?;
            1
        };
        let hours = self.digits(2)?;
        self.expect(b':')?;
        let minutes = self.digits(2)?;
        (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answers of kube-apiserver 1.36 to `string(timestamp(text))`.
    #[test]
    fn texts_are_read_and_printed_as_go_does() {
        for (text, printed) in [
            ("2024-02-29T12:34:56.789Z", "2024-02-29T12:34:56.789Z"),
            ("2024-02-29T12:34:56+02:00", "2024-02-29T12:34:56+02:00"),
            ("2024-01-01T00:00:00-07:30", "2024-01-01T00:00:00-07:30"),
            ("2024-01-01T00:00:00.000000001+00:01", "2024-01-01T00:00:00.000000001+00:01"),
            ("2024-01-01T0:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:00.50Z", "2024-01-01T00:00:00.5Z"),
            ("2024-01-01T00:00:00,25Z", "2024-01-01T00:00:00.25Z"),
            ("2024-01-01T00:00:00.1234567891Z", "2024-01-01T00:00:00.123456789Z"),
            ("2024-01-01T00:00:00+24:60", "2024-01-01T00:00:00+25:00"),
            ("2024-01-01T00:00:00-00:00", "2024-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("0000-12-31T23:59:59-00:01", "0000-12-31T23:59:59-00:01"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
            ("9999-12-31T23:59:59+08:00", "9999-12-31T23:59:59+08:00"),
        ] {
            assert_eq!(
                Timestamp::parse(text).map(|timestamp| timestamp.to_string()).as_deref(),
                Some(printed),
                "{text}"
            );
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2024-1-01T00:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00",
            "2024-01-01t00:00:00z",
            "2024-01-01 00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T23:60:00Z",
            "2024-01-01T23:59:60Z",
            "2024-01-01T00:00:00+25:00",
            "2024-01-01T00:00:00+24:61",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00Z ",
            "2024-01-01T00:00:00+\u{e9}0:0",
            "+024-01-01T00:00:00Z",
            // Outside of the years 1 to 9999, in UTC.
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn arithmetic_stays_within_the_years() {
        let first = Timestamp::parse("0001-01-01T00:00:00Z").expect("a timestamp");
        let last = Timestamp::parse("9999-12-31T23:59:59.999999999Z").expect("a timestamp");
        assert_eq!(first.minus(1), None);
        assert_eq!(last.plus(1), None);
        assert_eq!(first.minus(i64::MIN), None, "has no negative");
        assert_eq!(last.since(&first), None);
        let epoch = Timestamp::from_seconds(0).expect("a timestamp");
        assert_eq!(
            epoch.minus(1).map(|timestamp| timestamp.to_string()).as_deref(),
            Some("1969-12-31T23:59:59.999999999Z")
        );
        assert_eq!(Timestamp::from_seconds(LAST + 1), None);
        assert_eq!(Timestamp::from_seconds(FIRST - 1), None);
    }

    fn any() -> impl Strategy<Value = Timestamp> {
        // Offsets that can be written; a year of four digits, whatever the offset.
        (FIRST + 2 * DAY..=LAST - 2 * DAY, 0..1_000_000_000_u32, -1500..=1500_i64)
            .prop_map(|(seconds, nanoseconds, minutes)| Timestamp { seconds, nanoseconds, offset: minutes * 60 })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(timestamp in any()) {
            let text = timestamp.to_string();
            prop_assume!(timestamp.offset.abs() <= 24 * 3600 + 59 * 60);
            let again = Timestamp::parse(&text);
            prop_assert_eq!(again, Some(timestamp));
            prop_assert_eq!(again.map(|timestamp| timestamp.to_string()), Some(text));
        }

        #[test]
        fn what_is_added_can_be_taken_away(timestamp in any(), span in -i64::MAX..i64::MAX) {
            if let Some(later) = timestamp.plus(span) {
                prop_assert_eq!(later.minus(span), Some(timestamp));
                prop_assert_eq!(later.since(&timestamp), Some(span));
                prop_assert_eq!(later.cmp(&timestamp), span.cmp(&0));
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-9T:.,+\\-Zz é]{0,40}") {
            if let Some(timestamp) = Timestamp::parse(&text) {
                prop_assert_eq!(Timestamp::parse(&timestamp.to_string()).map(|again| again.seconds), Some(timestamp.seconds));
            }
        }
    }
}
