//! The function's process: settings, then batches until Lambda ends it.
//!
//! Exit codes: 1 after an error at start, which is also reported to Lambda as an init error.

use std::process::ExitCode;
use std::sync::Arc;

use forwarder::{BatchError, Forwarder, Settings, StartError, log_error, report_init_error};
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;

/// Where Lambda's Runtime API is. Source: Lambda guide, "Using the Lambda runtime API".
const RUNTIME_API_VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// The type of error that Lambda shows for a configuration that cannot be.
const CONFIGURATION_ERROR: &str = "Runtime.ConfigurationError";

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a process without threads or sockets cannot start at all");
    // As a task: waking the future that the runtime itself blocks on takes a system call, each time.
    let started = runtime.block_on(async { tokio::spawn(start()).await });
    started.unwrap_or(ExitCode::FAILURE)
}

async fn start() -> ExitCode {
    let Some(runtime_api) = std::env::var(RUNTIME_API_VARIABLE).ok() else {
        log_error(
            "AWS_LAMBDA_RUNTIME_API is not set: this is a Lambda function, started by Lambda or by webhook-engine",
        );
        return ExitCode::FAILURE;
    };
    let started = Settings::read(|name| std::env::var(name).ok())
        .map_err(StartError::from)
        .and_then(Forwarder::new);
    let failed = match started {
        Ok(forwarder) => serve(Arc::new(forwarder)).await.err().map(|error| error.to_string()),
        Err(error) => {
            let error = chain(&error);
            report_init_error(&runtime_api, CONFIGURATION_ERROR, &error).await;
            Some(error)
        }
    };
    if let Some(error) = failed {
        log_error(&error);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Takes batches until Lambda ends the process.
async fn serve(forwarder: Arc<Forwarder>) -> Result<(), lambda_runtime::Error> {
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let forwarder = Arc::clone(&forwarder);
        async move {
            let LambdaEvent { payload, context } = event;
            forwarder
                .forward(payload.get(), context.deadline(), context.xray_trace_id.as_deref())
                .await
                .map_err(|error| diagnostic(&error))
        }
    });
    Runtime::new(handler).run().await
}

fn diagnostic(error: &BatchError) -> Diagnostic {
    let error_type = match error {
        BatchError::Event(_) => "MalformedEvent",
        BatchError::Unreadable => "DeadLetterNotSent",
    };
    Diagnostic { error_type: error_type.to_owned(), error_message: chain(error) }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
