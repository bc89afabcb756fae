//! Kinds of settings: what a number counts, and the limits that follow from it.

use super::Setting;

/// How a setting of type `T` is read and written. One type may be set in several ways: a number may be of bytes or of things.
pub trait Kind<T> {
    /// What is expected, for complaints.
    const EXPECTED: &'static str;
    /// Reads the text form; `None` if it is not one.
    fn read(text: &str) -> Option<T>;
    /// The text form, for the template.
    fn write(value: &T) -> String;
}

/// What goes through all settings of a group: it may give each another value.
pub trait SettingReader {
    /// Takes the setting `key`: `place` holds its default. `comment` is the comment of its declaration: what the setting
    /// means, and below an empty line the reason for the default.
    fn set<T, K: Kind<T>>(&mut self, key: &'static str, place: &mut T, comment: &'static str);
}

/// As the type itself says.
pub(crate) enum Plain {}

impl<T: Setting> Kind<T> for Plain {
    const EXPECTED: &'static str = T::EXPECTED;
    fn read(text: &str) -> Option<T> {
        T::read(text)
    }
    fn write(value: &T) -> String {
        value.write()
    }
}

/// An empty text is "not set".
impl<T, K: Kind<T>> Kind<Option<T>> for K {
    const EXPECTED: &'static str = K::EXPECTED;
    fn read(text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { K::read(text).map(Some) }
    }
    fn write(value: &Option<T>) -> String {
        value.as_ref().map_or_else(String::new, K::write)
    }
}

/// An integer that a setting is kept in.
pub(crate) trait Number: Copy + TryFrom<u64> + TryInto<u64> {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for usize {}

/// A number of bytes: `64 MiB`, `10GB`, `4096`.
pub(crate) enum Bytes {}

impl<T: Number> Kind<T> for Bytes {
    const EXPECTED: &'static str = "a size such as 64 MiB or 10 GB";
    fn read(text: &str) -> Option<T> {
        let size: bytesize::ByteSize = text.parse().ok()?;
        T::try_from(size.as_u64()).ok()
    }
    fn write(value: &T) -> String {
        let bytes: u64 = (*value).try_into().unwrap_or(u64::MAX);
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = units.iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
        unit.map_or_else(|| bytes.to_string(), |(name, shift)| format!("{} {name}", bytes >> shift))
    }
}

/// Bytes of something that works only if it has some: a buffer, a part.
pub(crate) enum Room {}

/// Less is a slip, and would be more calls than bytes.
const LEAST_ROOM: u64 = 1 << 10;

impl<T: Number> Kind<T> for Room {
    const EXPECTED: &'static str = "a size from 1 KiB on, such as 64 KiB";
    fn read(text: &str) -> Option<T> {
        let room: T = Bytes::read(text)?;
        let bytes: u64 = room.try_into().ok()?;
        (bytes >= LEAST_ROOM).then_some(room)
    }
    fn write(value: &T) -> String {
        Bytes::write(value)
    }
}

/// A number of things of which at least one is needed: with none a wait would have no end.
pub(crate) enum Count {}

/// More of anything counted is a slip, and in the end more than semaphores can count.
const MOST: u64 = 1_000_000_000;

impl<T: Number> Kind<T> for Count {
    const EXPECTED: &'static str = "a whole number from 1 to 1000000000";
    fn read(text: &str) -> Option<T> {
        let count = text.parse().ok().filter(|count| (1..=MOST).contains(count))?;
        T::try_from(count).ok()
    }
    fn write(value: &T) -> String {
        let count: u64 = (*value).try_into().unwrap_or(u64::MAX);
        count.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [0_u64, 1, 4096, 64 << 20, 10 << 30, 10_000_000] {
            assert_eq!(Bytes::read(&Bytes::write(&bytes)), Some(bytes));
        }
        assert_eq!(Count::read(&Count::write(&12_u32)), Some(12_u32));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["0", "-1", "18446744073709551615", "1000000001", ""] {
            assert_eq!(<Count as Kind<usize>>::read(text), None, "{text}");
        }
        assert_eq!(Count::read("1"), Some(1_u32));
        assert_eq!(<Bytes as Kind<u32>>::read("10 GiB"), None);
        assert_eq!(<Room as Kind<usize>>::read("1023"), None);
        assert_eq!(Room::read("1 KiB"), Some(1024_usize));
    }

    #[test]
    fn an_empty_text_is_no_value_of_any_kind() {
        assert_eq!(<Plain as Kind<Option<String>>>::read(""), Some(None));
        assert_eq!(<Count as Kind<Option<usize>>>::read(""), Some(None));
        assert_eq!(<Count as Kind<Option<usize>>>::read("0"), None);
    }
}
