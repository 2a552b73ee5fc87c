//! How somebody gets in.

use maud::{DOCTYPE, Markup, html};

use super::{View, head};
use crate::text::Text;

/// The question for the start token; `wrong` if another one was given.
pub(crate) fn start(view: &View<'_>, wrong: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) {
            (head(view.environment, false))
            body {
                main {
                    h1 { (view.environment) ": " (view.t(Text::StartTitle)) }
                    p { (view.t(Text::StartHelp)) }
                    @if wrong { p.error role="alert" { (view.t(Text::StartWrong)) } }
                    form method="post" action="/start" {
                        label {
                            (view.t(Text::Token))
                            input.long name="token" type="password" autocomplete="off" required autofocus;
                        }
                        button { (view.t(Text::Enter)) }
                    }
                }
            }
        }
    }
}

/// Who has just been let in goes on from here: a browser shows a strict cookie only where a page of ours
/// has sent it, so this cannot be a redirection. Where acts can be begun it keeps their secret.
pub(crate) fn entered(view: &View<'_>, act_secret: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) {
            head {
                meta charset="utf-8";
                title { (view.environment) }
                @if let Some(secret) = act_secret { meta name="act-secret" content=(secret); }
                // Behind the script, which goes on by itself.
                @let seconds = u8::from(act_secret.is_some());
                meta http-equiv="refresh" content={ (seconds) ";url=/" };
                script src="/page.js" defer {}
            }
            body { main { p { a href="/" { (view.environment) } } } }
        }
    }
}
