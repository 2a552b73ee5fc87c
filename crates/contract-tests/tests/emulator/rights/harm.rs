//! What nobody may: what each of bootstrap's roles and the functions' roles could do harm with.

use super::story::{ACCOUNT, REGION};
use super::table::{KEY, Right, pass};

/// Who, and what they may not.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn harmful() -> Vec<(&'static str, Right)> {
    let mut harmful = Vec::new();
    let mut no = |who: &[&'static str], right: &Right| {
        harmful.extend(who.iter().map(|who| (*who, right.clone())));
    };
    let arn =
        |service: &str, resource: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}");
    let iam = |what: &str| format!("arn:aws:iam::{ACCOUNT}:{what}");
    let state = |key: &str| format!("arn:aws:s3:::acme-webhook-state/{key}");
    let kept = |key: &str| format!("arn:aws:s3:::acme-webhook-artifacts/{key}");
    let of_dev = ["dev-plan", "dev-deploy", "dev-look", "dev-operate"];
    let everybody = [
        "dev-plan",
        "dev-deploy",
        "dev-look",
        "dev-operate",
        "prod-plan",
        "prod-deploy",
        "prod-look",
        "prod-operate",
        "dev-forwarder",
        "dev-ingest",
        "dev-resume",
        "prod-forwarder",
    ];

    // Another environment's resources.
    for (action, resource) in [
        ("sqs:DeleteQueue", arn("sqs", "prod-webhook.fifo")),
        ("sqs:SetQueueAttributes", arn("sqs", "prod-webhook-dlq.fifo")),
        ("sqs:SendMessage", arn("sqs", "prod-webhook.fifo")),
        ("sqs:ReceiveMessage", arn("sqs", "prod-webhook-dlq.fifo")),
        ("sqs:GetQueueAttributes", arn("sqs", "prod-webhook.fifo")),
        ("lambda:UpdateFunctionCode", arn("lambda", "function:prod-webhook-forwarder")),
        ("lambda:UpdateAlias", arn("lambda", "function:prod-webhook-forwarder")),
        ("lambda:GetFunction", arn("lambda", "function:prod-webhook-forwarder")),
        ("lambda:DeleteFunction", arn("lambda", "function:prod-webhook-forwarder")),
        ("logs:DeleteLogGroup", arn("logs", "log-group:/aws/lambda/prod-webhook-forwarder")),
        ("logs:FilterLogEvents", arn("logs", "log-group:/aws/lambda/prod-webhook-forwarder")),
        ("cloudwatch:DeleteAlarms", arn("cloudwatch", "alarm:prod-webhook-dead-letters-present")),
        ("sns:SetTopicAttributes", arn("sns", "prod-webhook-alarms")),
        ("sns:Subscribe", arn("sns", "prod-webhook-alarms")),
        ("ssm:PutParameter", arn("ssm", "parameter/prod/webhook/skips")),
        ("ssm:DeleteParameter", arn("ssm", "parameter/prod/webhook/skips")),
        ("ssm:GetParameter", arn("ssm", "parameter/prod/webhook/skips")),
        ("scheduler:CreateSchedule", arn("scheduler", "schedule/default/prod-webhook-resume")),
        ("scheduler:UpdateSchedule", arn("scheduler", "schedule/default/prod-webhook-resume")),
        ("scheduler:DeleteSchedule", arn("scheduler", "schedule/default/prod-webhook-resume")),
        ("iam:PutRolePolicy", iam("role/prod-webhook-forwarder")),
        ("iam:UpdateAssumeRolePolicy", iam("role/prod-webhook-forwarder")),
    ] {
        no(&of_dev, &Right::new(action, resource));
    }
    let mapping = arn("lambda", "event-source-mapping:any");
    let of_prod = arn("lambda", "function:prod-webhook-forwarder:live");
    for action in ["lambda:UpdateEventSourceMapping", "lambda:DeleteEventSourceMapping"] {
        no(&of_dev, &Right::new(action, &*mapping).with("lambda:FunctionArn", &*of_prod));
    }
    let create = Right::new("lambda:CreateEventSourceMapping", "*");
    no(&of_dev, &create.with("lambda:FunctionArn", &*of_prod));
    // Promoting takes the knowledge of what runs, and no more.
    for action in [
        "lambda:GetFunction",
        "lambda:UpdateAlias",
        "lambda:GetPolicy",
        "lambda:UpdateFunctionCode",
    ] {
        no(
            &["prod-plan", "prod-deploy"],
            &Right::new(action, arn("lambda", "function:dev-webhook-forwarder")),
        );
    }
    no(&["prod-deploy"], &Right::new("sqs:GetQueueAttributes", arn("sqs", "dev-webhook.fifo")));
    no(
        &["prod-deploy"],
        &Right::new("s3:PutObject", kept("releases/dev/x.json")).with("s3:if-none-match", "*"),
    );

    // Who only looks pauses nothing, and nobody does elsewhere.
    for action in ["s3:PutObject", "s3:DeleteObject"] {
        no(&of_dev, &Right::new(action, kept("operating/prod/pauses.json")));
        no(&["dev-look", "dev-plan"], &Right::new(action, kept("operating/dev/pauses.json")));
    }
    no(&of_dev, &Right::new("s3:GetObject", kept("operating/prod/pauses.json")));

    // Another environment's state, and the state's former versions.
    for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] {
        no(&of_dev, &Right::new(action, state("prod/terraform.tfstate")));
        no(&of_dev, &Right::new(action, state("prod/terraform.tfstate.tflock")));
    }
    no(
        &of_dev,
        &Right::new("s3:ListBucket", "arn:aws:s3:::acme-webhook-state").with("s3:prefix", "prod/"),
    );
    no(&everybody, &Right::new("s3:DeleteObject", state("dev/terraform.tfstate")));
    no(&everybody, &Right::new("s3:DeleteObjectVersion", state("dev/terraform.tfstate")));
    no(
        &["dev-plan", "dev-look", "dev-operate"],
        &Right::new("s3:PutObject", state("dev/terraform.tfstate")),
    );
    no(
        &["dev-look", "dev-operate", "dev-forwarder"],
        &Right::new("s3:GetObject", state("dev/terraform.tfstate")),
    );
    for bucket in ["acme-webhook-state", "acme-webhook-artifacts"] {
        for action in [
            "s3:DeleteBucket",
            "s3:PutBucketPolicy",
            "s3:DeleteBucketPolicy",
            "s3:PutBucketVersioning",
        ] {
            no(&everybody, &Right::new(action, format!("arn:aws:s3:::{bucket}")));
        }
    }

    // Artifacts and records: overwritten, deleted, put by whom it is not for.
    let put = |key: &str| {
        Right::new("s3:PutObject", kept(key)).with("s3:ObjectCreationOperation", "true")
    };
    for key in ["artifacts/0.zip", "releases/dev/x.json", "deployments/dev/x.json"] {
        no(&everybody, &put(key));
        no(&everybody, &Right::new("s3:DeleteObject", kept(key)));
        no(&everybody, &Right::new("s3:DeleteObjectVersion", kept(key)));
        no(
            &["dev-plan", "dev-look", "dev-operate", "prod-plan", "prod-deploy"],
            &put(key).with("s3:if-none-match", "*"),
        );
    }
    no(&["administrator"], &put("artifacts/0.zip"));
    no(&["administrator"], &put("releases/prod/x.json"));
    no(&["administrator"], &put("deployments/prod/x.json"));
    no(&["dev-deploy"], &put("releases/prod/x.json").with("s3:if-none-match", "*"));
    no(&of_dev, &Right::new("s3:GetObject", kept("releases/prod/x.json")));
    no(&["dev-deploy", "dev-operate"], &put("audit/prod/x.json"));
    let plain = put("audit/dev/x.json").with("aws:SecureTransport", "false");
    no(&["administrator", "dev-operate"], &plain);

    // Keys: taken over by a tag or a policy, read with, or taken away.
    let key = arn("kms", KEY);
    for action in [
        "kms:TagResource",
        "kms:UntagResource",
        "kms:PutKeyPolicy",
        "kms:ScheduleKeyDeletion",
        "kms:DisableKey",
        "kms:CreateGrant",
        "kms:UpdateAlias",
        "kms:Encrypt",
        "kms:Decrypt",
    ] {
        let right = Right::new(action, &*key);
        no(&everybody, &right);
        no(
            &everybody,
            &right
                .with("aws:RequestTag/webhook-environment", "dev")
                .with("aws:ResourceTag/webhook-environment", "dev"),
        );
    }
    no(
        &everybody,
        &Right::new("kms:CreateKey", "*").with("aws:RequestTag/webhook-environment", "dev"),
    );
    no(
        &of_dev,
        &Right::new("kms:Decrypt", &*key)
            .with("kms:ViaService", format!("s3.{REGION}.amazonaws.com")),
    );

    // Roles without the boundary, with another one, and the ways round it.
    let own = iam("role/dev-webhook-forwarder");
    let other = iam("policy/acme-webhook-prod-boundary");
    let boundary = iam("policy/acme-webhook-dev-boundary");
    for action in ["iam:CreateRole", "iam:PutRolePolicy"] {
        no(&everybody, &Right::new(action, &*own));
        no(&everybody, &Right::new(action, &*own).with("iam:PermissionsBoundary", &*other));
    }
    no(
        &everybody,
        &Right::new("iam:PutRolePermissionsBoundary", &*own)
            .with("iam:PermissionsBoundary", &*other),
    );
    let foreign = Right::new("iam:CreateRole", iam("role/somebody"));
    no(&everybody, &foreign.with("iam:PermissionsBoundary", &*boundary));
    for action in ["iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy"] {
        no(&everybody, &Right::new(action, &*own).with("iam:PermissionsBoundary", &*boundary));
    }
    for action in ["iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicy"] {
        no(&everybody, &Right::new(action, &*boundary));
        no(&everybody, &Right::new(action, iam("policy/acme-webhook-dev-write")));
    }
    for action in [
        "iam:UpdateAssumeRolePolicy",
        "iam:PutRolePolicy",
        "iam:DeleteRole",
        "iam:AttachRolePolicy",
    ] {
        no(
            &everybody,
            &Right::new(action, iam("role/acme-webhook-dev-deploy"))
                .with("iam:PermissionsBoundary", &*boundary),
        );
    }
    no(&everybody, &Right::new("iam:CreateUser", iam("user/somebody")));
    no(&everybody, &Right::new("iam:CreateAccessKey", iam("user/somebody")));
    let linked = iam("role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS");
    no(
        &everybody,
        &Right::new("iam:CreateServiceLinkedRole", linked)
            .with("iam:AWSServiceName", "ecs.amazonaws.com"),
    );

    // Passing foreign roles, and own ones to whom they are not for.
    for role in
        ["acme-webhook-dev-deploy", "somebody", "prod-webhook-forwarder", "prod-webhook-resume"]
    {
        for service in [
            "lambda.amazonaws.com",
            "apigateway.amazonaws.com",
            "scheduler.amazonaws.com",
            "ec2.amazonaws.com",
        ] {
            no(&of_dev, &pass(&iam(&format!("role/{role}")), service));
        }
    }
    no(&everybody, &pass(&own, "ec2.amazonaws.com"));
    no(&everybody, &pass(&own, "apigateway.amazonaws.com"));
    no(&everybody, &pass(&iam("role/dev-webhook-ingest"), "lambda.amazonaws.com"));
    no(
        &["dev-deploy", "dev-plan", "dev-look"],
        &pass(&iam("role/dev-webhook-resume"), "scheduler.amazonaws.com"),
    );
    no(&everybody, &Right::new("iam:PassRole", &*own));

    // Messages and secrets are nobody's who deploys, and what waits is nobody's to take.
    for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:SendMessage", "sqs:PurgeQueue"] {
        no(&["dev-plan", "dev-deploy"], &Right::new(action, arn("sqs", "dev-webhook.fifo")));
    }
    for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage"] {
        no(
            &["dev-look", "dev-operate", "dev-ingest", "dev-resume"],
            &Right::new(action, arn("sqs", "dev-webhook.fifo")),
        );
    }
    for action in ["sqs:PurgeQueue", "sqs:DeleteQueue"] {
        no(
            &["dev-plan", "dev-look", "dev-operate", "dev-forwarder", "dev-ingest"],
            &Right::new(action, arn("sqs", "dev-webhook.fifo")),
        );
    }
    for action in ["sqs:DeleteMessage", "sqs:SendMessage"] {
        no(&["dev-look"], &Right::new(action, arn("sqs", "dev-webhook-dlq.fifo")));
    }
    // Who looks reads receipt handles in the log, and can do nothing with them.
    no(
        &["dev-look", "dev-plan", "dev-deploy"],
        &Right::new("sqs:ChangeMessageVisibility", arn("sqs", "dev-webhook.fifo")),
    );
    no(
        &everybody,
        &Right::new(
            "secretsmanager:GetSecretValue",
            arn("secretsmanager", "secret:dev/sss-abcdef"),
        ),
    );
    no(&everybody, &Right::new("ssm:GetParameter", arn("ssm", "parameter/dev/token")));
    no(&everybody, &Right::new("ssm:GetParameter", arn("ssm", "parameter/other/token")));
    no(
        &everybody,
        &Right::new("lambda:InvokeFunction", arn("lambda", "function:dev-webhook-forwarder")),
    );
    let anybody =
        Right::new("lambda:AddPermission", arn("lambda", "function:dev-webhook-forwarder"));
    no(&everybody, &anybody.with("lambda:Principal", "*"));
    let foreign =
        Right::new("lambda:AddPermission", arn("lambda", "function:somebody-s-authorizer"));
    no(&everybody, &foreign.with("lambda:Principal", "apigateway.amazonaws.com"));

    // Another account's alarms.
    let topic = Right::new("sns:Publish", arn("sns", "dev-webhook-alarms"));
    no(&["cloudwatch"], &topic.with("aws:SourceAccount", "111122223333"));

    // The functions' roles.
    no(&["dev-forwarder"], &Right::new("sqs:SendMessage", arn("sqs", "dev-webhook.fifo")));
    no(&["dev-ingest"], &Right::new("sqs:SendMessage", arn("sqs", "dev-webhook-dlq.fifo")));
    no(
        &["dev-forwarder"],
        &Right::new("ssm:PutParameter", arn("ssm", "parameter/dev/webhook/skips")),
    );
    no(
        &["dev-resume"],
        &Right::new("lambda:UpdateFunctionCode", arn("lambda", "function:dev-webhook-forwarder")),
    );
    no(
        &["dev-resume"],
        &Right::new("lambda:UpdateEventSourceMapping", &*mapping)
            .with("lambda:FunctionArn", &*of_prod),
    );
    harmful
}
