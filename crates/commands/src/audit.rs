//! What of the audit log an acting command can be told.

/// What happens where the audit log takes nothing
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct AuditArgs {
    /// Go on although the audit log takes nothing, as on a full disk: prints the line to keep
    #[arg(long)]
    pub without_audit: bool,
}
