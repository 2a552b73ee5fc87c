//! The page: an environment seen and operated in a browser.
//!
//! It knows nothing of queues: what it shows is what the operator's commands print with `--json`, and what
//! it does is those commands, started as a person would type them. So the page and the commands cannot
//! say different things, and an act here leaves the same lines in the audit log.
//!
//! | question | module |
//! |---|---|
//! | who may see the page, and who may act? | `guard` |
//! | how is a command asked, and what does it say? | `operator` |
//! | what is shared by those who look, and how old is it? | `looks` |
//! | which acts are there, and how do they go on? | `act`, `acts` |
//! | what does a screen look like? | `view` |
//! | in which words? | `text` |

#![warn(clippy::disallowed_macros)]

mod act;
mod acts;
mod guard;
mod live;
mod looks;
mod operator;
mod server;
mod text;
mod view;

pub use operator::Operator;
pub use server::{Page, Start};
