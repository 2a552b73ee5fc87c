//! What is needed and the emulator does not ask for: what AWS's services do with the roles that they
//! are given, and what is not deployed here.

use super::judge::Judge;
use super::story::{ACCOUNT, REGION};
use super::table::Right;

/// Who needs which right.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn needed(judge: &Judge) -> anyhow::Result<Vec<(String, Right)>> {
    let mut needed = Vec::new();
    for name in ["dev", "prod"] {
        let arn = |service: &str, resource: &str| {
            format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{}", resource.replace("ENV", name))
        };
        let mut may = |who: &str, right: Right| needed.push((format!("{name}-{who}"), right));
        let queue = arn("sqs", "ENV-webhook.fifo");
        let function = arn("lambda", "function:ENV-webhook-forwarder");
        let live = format!("{function}:live");

        // Source: API Gateway guide, "Integration subtype reference", SQS-SendMessage.
        may("ingest", Right::new("sqs:SendMessage", &*queue));
        // Source: Lambda guide, "Using Lambda with Amazon SQS", execution role permissions.
        for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] {
            may("forwarder", Right::new(action, &*queue));
        }
        let stream = arn("logs", "log-group:/aws/lambda/ENV-webhook-forwarder:log-stream:any");
        for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
            may("forwarder", Right::new(action, &*stream));
        }
        // What the forwarder asks for itself, whether it comes to it here or not.
        may("forwarder", Right::new("sqs:ChangeMessageVisibility", &*queue));
        may("forwarder", Right::new("sqs:SendMessage", arn("sqs", "ENV-webhook-dlq.fifo")));
        // `retry`, which finds a group only just while its next attempt is to come.
        may("operate", Right::new("sqs:ChangeMessageVisibility", &*queue));
        may("forwarder", Right::new("ssm:GetParameter", arn("ssm", "parameter/ENV/webhook/skips")));
        // Source: Scheduler guide, "Using universal targets": the call is the role's.
        let resume = Right::new("lambda:UpdateEventSourceMapping", judge.drawn("mapping", name)?);
        may("resume", resume.with("lambda:FunctionArn", &*live));

        // An alarm rings. Source: CloudWatch guide, "Using Amazon SNS with encrypted topics".
        let alarm = |action: &str, resource: &str| {
            let right = Right::new(action, resource).with("aws:SourceAccount", ACCOUNT);
            ("cloudwatch".to_owned(), right)
        };
        let key = judge.drawn("alarms-key", name)?;
        let heard = [
            alarm("kms:Decrypt", key),
            alarm("kms:GenerateDataKey", key),
            alarm("sns:Publish", judge.drawn("topic", name)?),
        ];

        // A route's path or settings go: the settings of the former route are deleted.
        let settings = format!(
            "arn:aws:apigateway:{REGION}::/apis/a1b2c3/stages/$default/routesettings/POST /sqs-hook"
        );
        may("deploy", Right::new("apigateway:DELETE", settings));
        for part in ["routes", "integrations", "authorizers"] {
            let part = format!("arn:aws:apigateway:{REGION}::/apis/a1b2c3/{part}/d4e5f6");
            for action in ["apigateway:GET", "apigateway:PATCH", "apigateway:DELETE"] {
                may("deploy", Right::new(action, &*part));
            }
        }
        // An API that was there already: which it is by its name, and whether its stage deploys by itself.
        for path in ["/apis", "/apis/a1b2c3/stages/v1"] {
            let path = format!("arn:aws:apigateway:{REGION}::{path}");
            for who in ["look", "plan", "deploy"] {
                may(who, Right::new("apigateway:GET", &*path));
            }
        }
        // Concurrency that is given back, and what deletes a setting.
        may("deploy", Right::new("lambda:DeleteFunctionConcurrency", &*function));
        may(
            "deploy",
            Right::new(
                "logs:DeleteRetentionPolicy",
                arn("logs", "log-group:/aws/apigateway/ENV-webhook"),
            ),
        );
        // The stand-in for the service as a function, which API Gateway may call.
        let stub = arn("lambda", "function:ENV-webhook-sss-stub");
        for action in ["lambda:AddPermission", "lambda:RemovePermission"] {
            may(
                "deploy",
                Right::new(action, &*stub).with("lambda:Principal", "apigateway.amazonaws.com"),
            );
        }
        may("deploy", Right::new("lambda:CreateFunction", &*stub));
        // A role's description and tags.
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{name}-webhook-forwarder");
        for action in [
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
        ] {
            may("deploy", Right::new(action, &*role));
        }
        let boundary = format!("arn:aws:iam::{ACCOUNT}:policy/acme-webhook-{name}-boundary");
        may(
            "deploy",
            Right::new("iam:PutRolePermissionsBoundary", &*role)
                .with("iam:PermissionsBoundary", boundary),
        );
        // A function in subnets. Source: Lambda guide, "Giving Lambda functions access to resources in
        // an Amazon VPC", required IAM permissions.
        for action in ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"] {
            may("deploy", Right::new(action, "*"));
        }
        // What pause and skip have made goes with the environment.
        may("deploy", Right::new("ssm:DeleteParameter", arn("ssm", "parameter/ENV/webhook/skips")));
        may(
            "deploy",
            Right::new(
                "scheduler:DeleteSchedule",
                arn("scheduler", "schedule/default/ENV-webhook-resume"),
            ),
        );
        for document in ["pauses", "redrive"] {
            let key =
                format!("arn:aws:s3:::acme-webhook-artifacts/operating/{name}/{document}.json");
            may("deploy", Right::new("s3:DeleteObject", &*key));
            may("operate", Right::new("s3:PutObject", &*key));
            for who in ["look", "operate"] {
                may(who, Right::new("s3:GetObject", &*key));
            }
        }
        // The record of a deployment that begins, and of one that ended.
        for kind in ["deployments", "releases"] {
            let key = format!("arn:aws:s3:::acme-webhook-artifacts/{kind}/{name}/x.json");
            let put = Right::new("s3:PutObject", &*key).with("s3:ObjectCreationOperation", "true");
            may("deploy", put.with("s3:if-none-match", "*"));
            for who in ["plan", "deploy", "look"] {
                may(who, Right::new("s3:GetObject", &*key));
            }
        }
        needed.extend(heard);
    }
    // What runs in the environment that is promoted from, and its records.
    for who in ["prod-plan", "prod-deploy"] {
        let function = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:dev-webhook-forwarder");
        let live = format!("{function}:live");
        let mut may = |right: Right| needed.push((who.to_owned(), right));
        may(Right::new("lambda:GetAlias", &*function));
        may(Right::new("lambda:GetFunctionConfiguration", &*function));
        may(Right::new("lambda:GetFunctionConfiguration", &*live));
        may(Right::new("lambda:GetFunctionConfiguration", format!("{function}:7")));
        for key in ["releases/dev/x.json", "deployments/dev/x.json", "artifacts/0.zip"] {
            may(Right::new("s3:GetObject", format!("arn:aws:s3:::acme-webhook-artifacts/{key}")));
        }
    }
    Ok(needed)
}
