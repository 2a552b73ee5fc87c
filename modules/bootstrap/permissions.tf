# What the roles may do. Everything that has a name is named; where a `*` stands, AWS has no name to
# give: ids that it draws itself, or actions that know no resources.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # Names that the other modules give, by environment.
  arns = {
    for name in keys(var.environments) : name => {
      for what, resources in {
        queues = [
          "sqs:${var.region}:${local.account}:${name}-webhook.fifo",
          "sqs:${var.region}:${local.account}:${name}-webhook-dlq.fifo",
        ]
        secrets = [
          "secretsmanager:${var.region}:${local.account}:secret:${name}/*",
          "ssm:${var.region}:${local.account}:parameter/${name}/*",
        ]
        functions = [
          for function in ["forwarder", "sss-stub"] :
          "lambda:${var.region}:${local.account}:function:${name}-webhook-${function}"
        ]
        versions = [
          for function in ["forwarder", "sss-stub"] :
          "lambda:${var.region}:${local.account}:function:${name}-webhook-${function}:*"
        ]
        mappings = ["lambda:${var.region}:${local.account}:event-source-mapping:*"]
        roles = [
          for role in ["ingest", "forwarder", "sss-stub", "resume"] :
          "iam::${local.account}:role/${name}-webhook-${role}"
        ]
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
      } : what => [for resource in resources : "arn:${local.partition}:${resource}"]
    }
  }

  of_the_environment = {
    for name in keys(var.environments) : name => { StringEquals = { "aws:ResourceTag/webhook-environment" = name } }
  }

  bounded = {
    for name in keys(var.environments) : name => {
      StringEquals = { "iam:PermissionsBoundary" = aws_iam_policy.boundary[name].arn }
    }
  }

  read = {
    for name, arn in local.arns : name => {
      read-resources = [
        {
          Effect   = "Allow"
          Action   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
          Resource = arn.queues
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
          Effect    = "Allow"
          Action    = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
          Resource  = arn.keys
          Condition = local.of_the_environment[name]
        },
        {
          Effect = "Allow"
          Action = [
            "cloudwatch:DescribeAlarms", "lambda:ListEventSourceMappings", "logs:DescribeLogGroups",
            "sns:GetSubscriptionAttributes",
          ]
          Resource = ["*"]
        },
      ]

      read-state = [
        {
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = [aws_s3_bucket.this["state"].arn]
          Condition = { StringLike = { "s3:prefix" = ["${name}/*"] } }
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
      ]

      read-artifacts = [
        {
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = [aws_s3_bucket.this["artifacts"].arn]
          Condition = { StringLike = { "s3:prefix" = ["artifacts/*", "releases/*"] } }
        },
        {
          Effect = "Allow"
          Action = ["s3:GetObject", "s3:GetObjectVersion"]
          Resource = [
            "${aws_s3_bucket.this["artifacts"].arn}/artifacts/*",
            "${aws_s3_bucket.this["artifacts"].arn}/releases/*",
          ]
        },
      ]
    }
  }

  write = {
    for name, arn in local.arns : name => {
      write-resources = [
        {
          Effect   = "Allow"
          Action   = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
          Resource = arn.queues
        },
        {
          Effect = "Allow"
          Action = [
            "lambda:AddPermission", "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias",
            "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency", "lambda:PublishVersion",
            "lambda:PutFunctionConcurrency", "lambda:RemovePermission", "lambda:TagResource",
            "lambda:UntagResource", "lambda:UpdateAlias", "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
          ]
          Resource = concat(arn.functions, arn.versions)
        },
        {
          Effect    = "Allow"
          Action    = ["lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
          Resource  = ["*"]
          Condition = { ArnLike = { "lambda:FunctionArn" = concat(arn.functions, arn.versions) } }
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
          Effect    = "Allow"
          Action    = ["kms:CreateKey", "kms:TagResource"]
          Resource  = ["*"]
          Condition = { StringEquals = { "aws:RequestTag/webhook-environment" = name } }
        },
        {
          Effect = "Allow"
          Action = [
            "kms:EnableKeyRotation", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:UntagResource",
            "kms:UpdateKeyDescription",
          ]
          Resource  = arn.keys
          Condition = local.of_the_environment[name]
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
      ]

      # Roles of the environment only, and none that may more than the boundary.
      write-roles = [
        {
          Effect    = "Allow"
          Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
          Resource  = arn.roles
          Condition = local.bounded[name]
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
          Resource  = arn.roles
          Condition = { StringEquals = { "iam:PassedToService" = ["apigateway.amazonaws.com", "lambda.amazonaws.com"] } }
        },
      ]

      write-state = [{
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["${aws_s3_bucket.this["state"].arn}/${name}/terraform.tfstate"]
      }]

      # Nobody may delete: what was released can be released again.
      write-releases = [{
        Effect = "Allow"
        Action = ["s3:PutObject"]
        Resource = concat(
          ["${aws_s3_bucket.this["artifacts"].arn}/releases/${name}/*"],
          [for prefix in ["artifacts"] : "${aws_s3_bucket.this["artifacts"].arn}/${prefix}/*" if var.environments[name].publishes_artifacts],
        )
      }]
    }
  }
}
