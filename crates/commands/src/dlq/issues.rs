//! `dlq issues`

use crate::program::help;

use super::looking::Looking;

/// Show what is wrong: the dead letters by their cause, the most frequent first
///
/// An issue is what dead letters of one route have in common that failed with one status and one answer,
/// apart from what differs from event to event in it: ids, numbers, times, addresses and names in
/// quotation marks are masked. Its name comes from these three, so that it stays the same while dead
/// letters come and go, and in every environment. To group them, all dead letters are looked at: see
/// `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = help("\
Examples:
  {program} dlq issues prod
  {program} dlq issues prod --since 2h --json
  {program} dlq redrive prod --issue i-4f2a --dry-run")
)]
pub struct Issues {
    #[command(flatten)]
    pub looking: Looking,
}
