# What the roles and people may do. Everything that has a name is named; where a `*` stands, AWS has no
# name to give: ids that it draws itself, or actions that know no resources.
# What each command asks of AWS, and which right that takes, is in
# crates/contract-tests/tests/emulator/rights/table.rs; a test holds these policies against it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # Names that the other modules and the commands give, by environment.
  arns = {
    for name, environment in var.environments : name => {
      for what, resources in {
        queue             = ["sqs:${var.region}:${local.account}:${name}-webhook.fifo"]
        dead_letter_queue = ["sqs:${var.region}:${local.account}:${name}-webhook-dlq.fifo"]
        secrets = [
          "secretsmanager:${var.region}:${local.account}:secret:${name}/*",
          "ssm:${var.region}:${local.account}:parameter/${name}/*",
        ]
        skips     = ["ssm:${var.region}:${local.account}:parameter/${name}/webhook/skips"]
        functions = [for function in ["forwarder", "sss-stub"] : "lambda:${var.region}:${local.account}:function:${name}-webhook-${function}"]
        versions  = [for function in ["forwarder", "sss-stub"] : "lambda:${var.region}:${local.account}:function:${name}-webhook-${function}:*"]
        authorizers = [
          for function in environment.authorizer_functions : "lambda:${var.region}:${local.account}:function:${function}"
        ]
        mappings       = ["lambda:${var.region}:${local.account}:event-source-mapping:*"]
        roles          = [for role in ["ingest", "forwarder", "sss-stub", "resume"] : "iam::${local.account}:role/${name}-webhook-${role}"]
        api_roles      = ["iam::${local.account}:role/${name}-webhook-ingest"]
        function_roles = [for role in ["forwarder", "sss-stub"] : "iam::${local.account}:role/${name}-webhook-${role}"]
        resume_role    = ["iam::${local.account}:role/${name}-webhook-resume"]
        resumption     = ["scheduler:${var.region}:${local.account}:schedule/default/${name}-webhook-resume"]
        log_groups = flatten([
          for group in ["lambda/${name}-webhook-forwarder", "lambda/${name}-webhook-sss-stub", "apigateway/${name}-webhook"] : [
            "logs:${var.region}:${local.account}:log-group:/aws/${group}",
            "logs:${var.region}:${local.account}:log-group:/aws/${group}:*",
          ]
        ])
        alarms     = ["cloudwatch:${var.region}:${local.account}:alarm:${name}-webhook-*"]
        dashboards = ["cloudwatch::${local.account}:dashboard/${name}-webhook"]
        topics     = ["sns:${var.region}:${local.account}:${name}-webhook-alarms"]
        keys       = ["kms:${var.region}:${local.account}:key/*"]
        apis       = ["apigateway:${var.region}::/apis", "apigateway:${var.region}::/apis/*"]
        tags       = ["apigateway:${var.region}::/tags/*"]
        # Only what says which code runs there.
        from = environment.promotes_from == null ? [] : [
          "lambda:${var.region}:${local.account}:function:${environment.promotes_from}-webhook-forwarder",
          "lambda:${var.region}:${local.account}:function:${environment.promotes_from}-webhook-forwarder:*",
        ]
      } : what => [for resource in resources : "arn:${local.partition}:${resource}"]
    }
  }

  # An environment's records, and those of the environment that it is promoted from.
  records = {
    for name, environment in var.environments : name => flatten([
      for environment in compact([name, environment.promotes_from]) : ["deployments/${environment}/", "releases/${environment}/"]
    ])
  }

  calls_our_function = {
    for name, arn in local.arns : name => { ArnLike = { "lambda:FunctionArn" = concat(arn.functions, arn.versions) } }
  }

  through_queue = { StringEquals = { "kms:ViaService" = ["sqs.${var.region}.amazonaws.com"] } }

  # Each list is a managed policy, of 6,144 characters at most.
  statements = {
    for name, arn in local.arns : name => {
      # What Terraform looks at before it changes anything.
      read = concat(
        [
          {
            Effect   = "Allow"
            Action   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
            Resource = concat(arn.queue, arn.dead_letter_queue)
          },
          {
            Effect = "Allow"
            Action = [
              "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig",
              "lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration", "lambda:GetPolicy",
              "lambda:ListAliases", "lambda:ListTags", "lambda:ListVersionsByFunction",
            ]
            Resource = concat(arn.functions, arn.versions)
          },
          {
            Effect   = "Allow"
            Action   = ["lambda:GetEventSourceMapping", "lambda:ListTags"]
            Resource = arn.mappings
          },
          {
            Effect = "Allow"
            Action = [
              "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
              "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags",
            ]
            Resource = arn.roles
          },
          {
            Effect   = "Allow"
            Action   = ["apigateway:GET"]
            Resource = concat(arn.apis, arn.tags)
          },
          {
            Effect   = "Allow"
            Action   = ["logs:FilterLogEvents", "logs:ListTagsForResource"]
            Resource = arn.log_groups
          },
          {
            Effect   = "Allow"
            Action   = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
            Resource = concat(arn.alarms, arn.dashboards)
          },
          {
            Effect = "Allow"
            Action = [
              "sns:GetDataProtectionPolicy", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource",
            ]
            Resource = arn.topics
          },
          {
            Effect = "Allow"
            Action = [
              "cloudwatch:DescribeAlarms", "lambda:GetAccountSettings", "lambda:ListEventSourceMappings",
              "logs:DescribeLogGroups", "sns:GetSubscriptionAttributes",
            ]
            Resource = ["*"]
          },
        ],
        [for functions in [arn.authorizers] : {
          Effect   = "Allow"
          Action   = ["lambda:GetPolicy"]
          Resource = functions
        } if length(functions) > 0],
      )

      # State, artifacts and records; and what says which code runs where it is promoted from. That an
      # object is missing is told only to who may list, and asking for one gives no prefix; without it
      # names are listed, and nothing is read.
      read-records = concat(
        [
          {
            Effect    = "Allow"
            Action    = ["s3:ListBucket"]
            Resource  = [aws_s3_bucket.this["state"].arn]
            Condition = { StringLikeIfExists = { "s3:prefix" = ["${name}/*"] } }
          },
          {
            Effect   = "Allow"
            Action   = ["s3:GetObject"]
            Resource = ["${aws_s3_bucket.this["state"].arn}/${name}/terraform.tfstate"]
          },
          {
            Effect   = "Allow"
            Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
            Resource = ["${aws_s3_bucket.this["state"].arn}/${name}/terraform.tfstate.tflock"]
          },
          {
            Effect    = "Allow"
            Action    = ["s3:ListBucket"]
            Resource  = [aws_s3_bucket.this["artifacts"].arn]
            Condition = { StringLikeIfExists = { "s3:prefix" = concat(["artifacts/*"], [for prefix in local.records[name] : "${prefix}*"]) } }
          },
          {
            Effect   = "Allow"
            Action   = ["s3:GetObject", "s3:GetObjectVersion"]
            Resource = [for prefix in concat(["artifacts/"], local.records[name]) : "${aws_s3_bucket.this["artifacts"].arn}/${prefix}*"]
          },
        ],
        [for functions in [arn.from] : {
          Effect   = "Allow"
          Action   = ["lambda:GetAlias", "lambda:GetFunctionConfiguration"]
          Resource = functions
        } if length(functions) > 0],
      )

      write = concat(
        [
          {
            Effect   = "Allow"
            Action   = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
            Resource = concat(arn.queue, arn.dead_letter_queue)
          },
          {
            Effect = "Allow"
            Action = [
              "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias", "lambda:DeleteFunction",
              "lambda:DeleteFunctionConcurrency", "lambda:PublishVersion", "lambda:PutFunctionConcurrency",
              "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateAlias", "lambda:UpdateFunctionCode",
              "lambda:UpdateFunctionConfiguration",
            ]
            Resource = concat(arn.functions, arn.versions)
          },
          {
            # For API Gateway only: nobody else is let into a function.
            Effect    = "Allow"
            Action    = ["lambda:AddPermission", "lambda:RemovePermission"]
            Resource  = concat(arn.functions, arn.versions, arn.authorizers)
            Condition = { StringEquals = { "lambda:Principal" = "apigateway.amazonaws.com" } }
          },
          {
            Effect    = "Allow"
            Action    = ["lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
            Resource  = ["*"]
            Condition = local.calls_our_function[name]
          },
          {
            Effect   = "Allow"
            Action   = ["lambda:TagResource", "lambda:UntagResource"]
            Resource = arn.mappings
          },
          {
            Effect   = "Allow"
            Action   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
            Resource = concat(arn.apis, arn.tags)
          },
          {
            Effect = "Allow"
            Action = [
              "logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy",
              "logs:DisassociateKmsKey", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
            ]
            Resource = arn.log_groups
          },
          {
            Effect = "Allow"
            Action = [
              "cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard",
              "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource",
            ]
            Resource = concat(arn.alarms, arn.dashboards)
          },
          {
            Effect = "Allow"
            Action = [
              "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource",
              "sns:UntagResource",
            ]
            Resource = arn.topics
          },
          {
            # What the commands have made goes with the environment.
            Effect   = "Allow"
            Action   = ["scheduler:DeleteSchedule", "ssm:DeleteParameter"]
            Resource = concat(arn.resumption, arn.skips)
          },
          {
            Effect   = "Allow"
            Action   = ["s3:DeleteObject"]
            Resource = ["${aws_s3_bucket.this["artifacts"].arn}/operating/${name}/*"]
          },
          {
            # The access log's delivery, a function's subnets, a subscription's end.
            Effect = "Allow"
            Action = [
              "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "logs:CreateLogDelivery",
              "logs:DeleteLogDelivery", "logs:DescribeResourcePolicies", "logs:GetLogDelivery",
              "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery", "sns:Unsubscribe",
            ]
            Resource = ["*"]
          },
        ],
      )

      write-roles-and-records = [
        # Roles of the environment only, and none that may more than the boundary.
        {
          Effect    = "Allow"
          Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
          Resource  = arn.roles
          Condition = { StringEquals = { "iam:PermissionsBoundary" = aws_iam_policy.boundary[name].arn } }
        },
        {
          Effect = "Allow"
          Action = [
            "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:TagRole", "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
          ]
          Resource = arn.roles
        },
        {
          Effect    = "Allow"
          Action    = ["iam:PassRole"]
          Resource  = arn.api_roles
          Condition = { StringEquals = { "iam:PassedToService" = "apigateway.amazonaws.com" } }
        },
        {
          Effect    = "Allow"
          Action    = ["iam:PassRole"]
          Resource  = arn.function_roles
          Condition = { StringEquals = { "iam:PassedToService" = "lambda.amazonaws.com" } }
        },
        {
          # An account's first API makes it.
          Effect    = "Allow"
          Action    = ["iam:CreateServiceLinkedRole"]
          Resource  = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"]
          Condition = { StringEquals = { "iam:AWSServiceName" = "ops.apigateway.amazonaws.com" } }
        },
        {
          Effect   = "Allow"
          Action   = ["s3:PutObject"]
          Resource = ["${aws_s3_bucket.this["state"].arn}/${name}/terraform.tfstate"]
        },
        {
          # Nobody may delete, and the bucket lets nobody overwrite: what was released can be released again.
          Effect = "Allow"
          Action = ["s3:PutObject"]
          Resource = concat(
            [for kind in ["deployments", "releases"] : "${aws_s3_bucket.this["artifacts"].arn}/${kind}/${name}/*"],
            [for prefix in ["artifacts"] : "${aws_s3_bucket.this["artifacts"].arn}/${prefix}/*" if var.environments[name].publishes_artifacts],
          )
        },
      ]

      # People who find out what happens: messages of the dead-letter queue can be read, and stay.
      look = [
        {
          Effect   = "Allow"
          Action   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
          Resource = concat(arn.queue, arn.dead_letter_queue)
        },
        {
          Effect   = "Allow"
          Action   = ["sqs:ChangeMessageVisibility", "sqs:ReceiveMessage"]
          Resource = arn.dead_letter_queue
        },
        {
          Effect   = "Allow"
          Action   = ["lambda:GetAlias", "lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration"]
          Resource = concat(arn.functions, arn.versions)
        },
        {
          Effect   = "Allow"
          Action   = ["lambda:GetEventSourceMapping"]
          Resource = arn.mappings
        },
        {
          Effect   = "Allow"
          Action   = ["apigateway:GET"]
          Resource = arn.apis
        },
        {
          Effect   = "Allow"
          Action   = ["logs:FilterLogEvents"]
          Resource = arn.log_groups
        },
        {
          Effect   = "Allow"
          Action   = ["ssm:GetParameter"]
          Resource = arn.skips
        },
        {
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = [aws_s3_bucket.this["artifacts"].arn]
          Condition = { StringLike = { "s3:prefix" = [for kind in ["audit", "deployments", "operating", "releases"] : "${kind}/${name}/*"] } }
        },
        {
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = [for kind in ["audit", "deployments", "operating", "releases"] : "${aws_s3_bucket.this["artifacts"].arn}/${kind}/${name}/*"]
        },
        {
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = arn.keys
          Condition = local.through_queue
        },
        {
          Effect = "Allow"
          Action = [
            "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "lambda:GetAccountSettings",
            "lambda:ListEventSourceMappings",
          ]
          Resource = ["*"]
        },
      ]

      # What `doctor` asks beside what Terraform looks at: how it goes and what people did, and nothing of
      # an event.
      watch = [
        {
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = [aws_s3_bucket.this["artifacts"].arn]
          Condition = { StringLike = { "s3:prefix" = [for kind in ["audit", "operating"] : "${kind}/${name}/*"] } }
        },
        {
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = [for kind in ["audit", "operating"] : "${aws_s3_bucket.this["artifacts"].arn}/${kind}/${name}/*"]
        },
        {
          Effect   = "Allow"
          Action   = ["cloudwatch:GetMetricData"]
          Resource = ["*"]
        },
      ]

      # What people change while it runs, beside `look`.
      operate = [
        {
          Effect   = "Allow"
          Action   = ["sqs:SendMessage"]
          Resource = concat(arn.queue, arn.dead_letter_queue)
        },
        {
          Effect   = "Allow"
          Action   = ["sqs:DeleteMessage"]
          Resource = arn.dead_letter_queue
        },
        {
          # With a receipt handle only, which the forwarder's log has: what waits is shown sooner.
          Effect   = "Allow"
          Action   = ["sqs:ChangeMessageVisibility"]
          Resource = arn.queue
        },
        {
          Effect    = "Allow"
          Action    = ["lambda:UpdateEventSourceMapping"]
          Resource  = arn.mappings
          Condition = local.calls_our_function[name]
        },
        {
          Effect   = "Allow"
          Action   = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule"]
          Resource = arn.resumption
        },
        {
          Effect    = "Allow"
          Action    = ["iam:PassRole"]
          Resource  = arn.resume_role
          Condition = { StringEquals = { "iam:PassedToService" = "scheduler.amazonaws.com" } }
        },
        {
          Effect   = "Allow"
          Action   = ["ssm:PutParameter"]
          Resource = arn.skips
        },
        {
          Effect   = "Allow"
          Action   = ["s3:PutObject"]
          Resource = [for kind in ["audit", "operating"] : "${aws_s3_bucket.this["artifacts"].arn}/${kind}/${name}/*"]
        },
        {
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource  = arn.keys
          Condition = local.through_queue
        },
      ]
    }
  }

  policies = merge([
    for name, policies in local.statements : {
      for policy, statements in policies : "${name}-${policy}" => {
        environment = name
        name        = "${var.name}-${name}-${policy}"
        document    = jsonencode({ Version = "2012-10-17", Statement = statements })
      }
    }
  ]...)
}

resource "aws_iam_policy" "this" {
  for_each = local.policies

  name   = each.value.name
  policy = each.value.document

  lifecycle {
    precondition {
      condition     = length(each.value.document) <= 6144
      error_message = "the policy ${each.value.name} has ${length(each.value.document)} of the 6,144 characters that IAM takes: a shorter `name`, shorter names of environments, or fewer authorizer_functions."
    }
  }
}
