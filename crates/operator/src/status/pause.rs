//! Why nothing is delivered: the pauses that there are.

use domain::pause::Pause;

use crate::environment::Environment;
use crate::pauses::Switch;

/// The pauses, also while the mapping is on: somebody else may have switched it.
pub(super) async fn of(environment: &Environment) -> anyhow::Result<Vec<Pause>> {
    Switch::of(environment)?.list().await
}
