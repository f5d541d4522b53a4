//! The Gregorian calendar without bounds: days since 1970-01-01 to year, month and day, and back.
//!
//! `jiff` ends at 9999-12-31; a time zone east of Greenwich takes the last moments of CEL's last day beyond it.

/// A day of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
}

/// Days of 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

impl Date {
    /// The day that is `days` after 1970-01-01.
    ///
    /// Years are counted from March here, so that the leap day is the last day of its year and month lengths follow
    /// one line: five months always have 153 days.
    pub(super) const fn from_days(days: i64) -> Self {
        let shifted = days + EPOCH;
        let (era, in_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
        // Take out the leap days: one in 1,461 days, but not in the last day of a century, except that of the era.
        let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / (ERA - 1)) / 365;
        let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * in_year + 2) / 153;
        let day = in_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + (month <= 2) as i64;
        Self { year, month, day }
    }

    /// How many days after 1970-01-01 this is.
    pub(super) const fn days(self) -> i64 {
        let year = self.year - (self.month <= 2) as i64;
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (self.month + 9) % 12;
        let in_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + in_year - EPOCH
    }

    /// Whether there is such a day.
    pub(super) fn exists(self) -> bool {
        (1..=12).contains(&self.month) && self.day >= 1 && Self::from_days(self.days()) == self
    }

    /// The day of the year, 1 January being 0.
    pub(super) const fn of_year(self) -> i64 {
        self.days() - Self { year: self.year, month: 1, day: 1 }.days()
    }

    /// The day of the week, Sunday being 0.
    pub(super) const fn of_week(self) -> i64 {
        // 1970-01-01 was a Thursday.
        (self.days() + 4).rem_euclid(7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day from the year 0 to 10001: each follows the one before it, and has the number that it came from.
    #[test]
    fn days_follow_one_another() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut expected = Date { year: 0, month: 1, day: 1 };
        for days in expected.days()..(Date { year: 10_001, month: 1, day: 1 }).days() {
            let day = Date::from_days(days);
            assert_eq!(day, expected);
            assert_eq!(day.days(), days);
            let leap = day.year % 4 == 0 && (day.year % 100 != 0 || day.year % 400 == 0);
            let month = usize::try_from(day.month - 1).unwrap_or_default();
            let length = lengths[month] + i64::from(leap && day.month == 2);
            expected = match (day.day < length, day.month < 12) {
                (true, _) => Date { day: day.day + 1, ..day },
                (false, true) => Date { day: 1, month: day.month + 1, ..day },
                (false, false) => Date { day: 1, month: 1, year: day.year + 1 },
            };
        }
    }

    #[test]
    fn known_days() {
        assert_eq!(Date::from_days(0), Date { year: 1970, month: 1, day: 1 });
        let day = Date { year: 2026, month: 11, day: 21 };
        assert_eq!((day.days(), day.of_year(), day.of_week()), (20_778, 324, 6));
        assert!(Date { year: 2024, month: 2, day: 29 }.exists());
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (2024, 4, 0)]
        {
            assert!(!Date { year, month, day }.exists(), "{year}-{month}-{day}");
        }
    }
}
