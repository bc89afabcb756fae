//! The one declaration of a setting.

/// Declares a group of settings: a struct, its defaults, and a method `visit`, which takes a
/// [`SettingReader`](super::SettingReader) through all of them.
///
/// ```text
/// settings! {
///     /// Limits of the feed.
///     #[derive(Debug, Clone)]
///     pub struct FeedSettings in "feed" {
///         /// Bytes of events that are read ahead for a subscriber.
///         ///
///         /// Nothing else waits for it.
///         buffer: usize as Room = 256 << 10,
///     }
/// }
/// ```
///
/// is the setting `feed.buffer`. The first paragraph of its comment is what `cheesewire config` and docs/configuration.md say that
/// it means; the second gives the reason for the default, for whoever changes the code. After `as` comes what kind of setting it is:
///
/// | kind | |
/// |---|---|
/// | (nothing) | as its type says ([`Setting`](super::Setting)) |
/// | `Bytes`, `Room`, `Count` | a number with limits ([`Kind`](super::Kind)) |
/// | `Group` | the settings of another such struct, which stand here in the order of all |
/// | `Internal` | none of this group's settings: code sets it |
///
/// Defaults may use what the constructor is given: `pub struct StoreSettings(folder: PathBuf) in "cache" { … }` has
/// `new(folder)` in place of [`Default`].
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $name:ident $(($($given:ident: $given_type:ty),+))? in $section:literal {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty $(as $kind:ident)? = $default:expr,)+
        }
    ) => {
        $(#[$attribute])*
        $vis struct $name {
            $($(#[doc = $doc])+ $vis $field: $type,)+
        }

        $crate::model::settings!(@new $vis $name $(($($given: $given_type),+))? { $($field = $default,)+ });

        impl $name {
            /// Takes a reader through all settings of the group, in the order of their declaration.
            $vis fn visit(&mut self, reader: &mut impl $crate::model::SettingReader) {
                $($crate::model::settings!(
                    @visit reader, concat!($section, ".", stringify!($field)), self.$field, concat!($($doc, "\n"),+)
                    $(, $kind)?
                );)+
            }
        }
    };
    (@new $vis:vis $name:ident { $($field:ident = $default:expr,)+ }) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }
    };
    (@new $vis:vis $name:ident ($($given:ident: $given_type:ty),+) { $($field:ident = $default:expr,)+ }) => {
        impl $name {
            /// The defaults.
            $vis fn new($($given: $given_type),+) -> Self {
                Self { $($field: $default,)+ }
            }
        }
    };
    (@visit $reader:ident, $key:expr, $place:expr, $comment:expr, Internal) => {};
    (@visit $reader:ident, $key:expr, $place:expr, $comment:expr, Group) => {
        $place.visit($reader)
    };
    (@visit $reader:ident, $key:expr, $place:expr, $comment:expr) => {
        $crate::model::settings!(@visit $reader, $key, $place, $comment, Plain)
    };
    (@visit $reader:ident, $key:expr, $place:expr, $comment:expr, $kind:ident) => {
        $reader.set::<_, $crate::model::kinds::$kind>($key, &mut $place, $comment)
    };
}
pub(crate) use settings;
