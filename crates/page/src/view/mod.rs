//! The screens. What services and senders wrote is text in them, never HTML: maud escapes it.

mod acts;
mod confirm;
mod dead_letters;
mod diff;
mod event;
mod history;
mod keys;
mod live;
mod now;
mod part;
mod refused;
mod result;
mod routes;
mod start;
mod verdict;

use maud::{DOCTYPE, Markup, html};

use crate::text::{Language, Text};

pub(crate) use acts::{act, acts};
pub(crate) use confirm::confirm;
pub(crate) use dead_letters::{SHOWN_MAX, dead_letters};
pub(crate) use event::{EDITED_BYTES_MAX, event};
pub(crate) use history::{Back, history};
pub(crate) use keys::{keys, keys_to_retry};
pub(crate) use live::live;
pub(crate) use now::now;
pub(crate) use part::{Letters, error, said};
pub(crate) use refused::refused;
pub(crate) use routes::routes;
pub(crate) use start::{entered, start};

/// What every screen needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'v> {
    pub(crate) language: Language,
    pub(crate) environment: &'v str,
    /// Whether acts can be begun here.
    pub(crate) acts: bool,
    /// Whether people depend on the environment, as far as that is known.
    pub(crate) production: bool,
}

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Now,
    Keys,
    DeadLetters,
    Event,
    Refused,
    Routes,
    Acts,
    Live,
}

impl Screen {
    const ALL: [Self; 8] = [
        Self::Now,
        Self::Live,
        Self::Keys,
        Self::DeadLetters,
        Self::Event,
        Self::Refused,
        Self::Routes,
        Self::Acts,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Now => "/",
            Self::Keys => "/keys",
            Self::DeadLetters => "/dead-letters",
            Self::Event => "/event",
            Self::Refused => "/refused",
            Self::Routes => "/routes",
            Self::Acts => "/acts",
            Self::Live => "/live",
        }
    }

    fn name(self) -> Text {
        match self {
            Self::Now => Text::Now,
            Self::Keys => Text::Keys,
            Self::DeadLetters => Text::DeadLetters,
            Self::Event => Text::Event,
            Self::Refused => Text::Refused,
            Self::Routes => Text::Routes,
            Self::Acts => Text::Acts,
            Self::Live => Text::Live,
        }
    }

    /// Whether it follows what happens by itself: what looks at dead letters may not, as on AWS a look
    /// is a receive.
    fn is_live(self) -> bool {
        matches!(self, Self::Now | Self::Keys | Self::Acts | Self::Live)
    }
}

impl View<'_> {
    /// The text in the viewer's language.
    pub(crate) fn t(&self, text: Text) -> &'static str {
        text.of(self.language)
    }

    /// A page of this screen.
    pub(crate) fn page(&self, screen: Screen, content: &Markup) -> Markup {
        self.shown(screen, screen.is_live(), content)
    }

    /// The same, while somebody decides: nothing changes under their hands.
    pub(crate) fn still(&self, screen: Screen, content: &Markup) -> Markup {
        self.shown(screen, false, content)
    }

    fn shown(&self, screen: Screen, is_live: bool, content: &Markup) -> Markup {
        let title = self.t(screen.name());
        html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                (head(&format!("{title} · {}", self.environment), screen == Screen::Now))
                body {
                    a.skip href="#content" { (self.t(Text::SkipToContent)) }
                    header.production[self.production] {
                        strong {
                            (self.environment)
                            @if self.production { " " span.badge { (self.t(Text::Production)) } }
                        }
                        nav {
                            @for other in Screen::ALL {
                                a href=(other.path()) aria-current=[(other == screen).then_some("page")] {
                                    (self.t(other.name()))
                                }
                            }
                        }
                    }
                    main #content data-live[is_live] {
                        (content)
                        @if !self.acts { p.faint { (self.t(Text::ReadOnly)) } }
                        @else { noscript { p { (self.t(Text::NeedsScript)) } } }
                    }
                }
            }
        }
    }
}

/// What a document's head says, with the scripts that are needed.
fn head(title: &str, charts: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="htmx-config" content=r#"{"includeIndicatorStyles":false,"allowEval":false,"historyCacheSize":0}"#;
            title { (title) }
            link rel="icon" href="data:,";
            link rel="stylesheet" href="/page.css";
            @if charts {
                link rel="stylesheet" href="/uplot.css";
                script src="/uplot.js" defer {}
            }
            script src="/htmx.js" defer {}
            script src="/page.js" defer {}
        }
    }
}
