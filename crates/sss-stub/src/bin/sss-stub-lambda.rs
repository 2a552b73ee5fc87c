//! `sss-stub-lambda`: the stand-in as a Lambda function behind an HTTP API. Accepts every webhook and
//! prints a JSON line for it. It cannot be told to fail: its processes share nothing.
//!
//! Source: API Gateway guide, "Lambda proxy integrations for HTTP APIs", payload format 2.0.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use sss_stub::{Received, report};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<_>| answer(event.payload))).await
}

fn answer(request: ApiGatewayV2httpRequest) -> Result<Value, Error> {
    let body = request.body.unwrap_or_default();
    let body = if request.is_base64_encoded { BASE64_STANDARD.decode(body)? } else { body.into() };
    let path = request.raw_path.as_deref().unwrap_or("/");
    let webhook = Received { status: 200, ..Received::new(path, &request.headers, &body) };
    report::webhook(&webhook);
    Ok(json!({
        "statusCode": webhook.status,
        "headers": { "content-type": "application/json" },
        "body": json!({ "message": "accepted" }).to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str, is_base64_encoded: bool) -> ApiGatewayV2httpRequest {
        serde_json::from_value(json!({
            "version": "2.0",
            "routeKey": "POST /application-hook",
            "rawPath": "/application-hook",
            "rawQueryString": "",
            "headers": { "content-type": "application/json", "webhook-id": "e-1" },
            "requestContext": {
                "accountId": "123456789012", "apiId": "a", "requestId": "r", "stage": "$default",
                "http": {
                    "method": "POST", "path": "/application-hook", "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1", "userAgent": "forwarder",
                },
            },
            "body": body,
            "isBase64Encoded": is_base64_encoded,
        }))
        .unwrap()
    }

    #[test]
    fn a_webhook_is_accepted() {
        for (body, encoded) in [("{\"注文\":1}", false), ("eyJhIjoxfQ==", true)] {
            let answer = answer(request(body, encoded)).unwrap();
            assert_eq!(answer["statusCode"], 200);
            assert_eq!(answer["body"], "{\"message\":\"accepted\"}");
        }
    }

    #[test]
    fn what_is_not_base64_though_it_says_so_is_an_error() {
        assert!(answer(request("{}", true)).is_err());
    }
}
