locals {
  function_name = "${var.environment}-webhook-forwarder"

  # arn:PARTITION:sqs:REGION:ACCOUNT:NAME; written out, as the role must be there before the function.
  queue_arn_parts = split(":", var.queue_arn)
  function_arn = join(":", [
    "arn", local.queue_arn_parts[1], "lambda", local.queue_arn_parts[3], local.queue_arn_parts[4],
    "function", local.function_name,
  ])

  arn_prefixes = {
    for service in ["secretsmanager", "ssm"] : service => join(":", [
      "arn", local.queue_arn_parts[1], service, local.queue_arn_parts[3], local.queue_arn_parts[4],
    ])
  }

  policies = {
    receive-from-webhook-queue = [{
      Effect = "Allow"
      Action = [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
      ]
      Resource = [var.queue_arn]
    }]

    send-to-dead-letter-queue = [{
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = [var.dead_letter_queue_arn]
    }]

    read-skips = [{
      Effect   = "Allow"
      Action   = ["ssm:GetParameter"]
      Resource = ["${local.arn_prefixes.ssm}:parameter${local.skips_parameter}"]
    }]

    write-logs = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.forwarder.arn}:*"] # its streams, which Lambda names
    }]

    use-queue-key = [for key in var.kms_key_arn[*] : {
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [key]
    }]

    # The parameters and secrets that routes refer to, and no others. Secrets Manager puts six random
    # characters behind a secret's name, which its ARN may be given with or without.
    read-secrets = concat(
      [for parameters in [local.parameters] : {
        Effect   = "Allow"
        Action   = ["ssm:GetParameter"]
        Resource = [for name in parameters : "${local.arn_prefixes.ssm}:parameter${name}"]
      } if length(parameters) > 0],
      [for secrets in [local.secrets] : {
        Effect = "Allow"
        Action = ["secretsmanager:GetSecretValue"]
        Resource = [
          for id in secrets :
          can(regex("^arn:.*-[A-Za-z0-9]{6}$", id)) ? id : "${startswith(id, "arn:") ? id : "${local.arn_prefixes.secretsmanager}:secret:${id}"}-??????"
        ]
      } if length(secrets) > 0],
      [for key in var.secrets_kms_key_arn[*] : {
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [key]
        Condition = {
          StringEquals = {
            "kms:ViaService" = [for service in ["secretsmanager", "ssm"] : "${service}.${local.queue_arn_parts[3]}.amazonaws.com"]
          }
        }
      } if length(local.secret_references) > 0],
    )

    # X-Ray knows no resources.
    trace = [for tracing in [var.tracing] : {
      Effect   = "Allow"
      Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      Resource = ["*"]
    } if tracing]

    # Lambda demands these for every network interface there may be, and makes the interfaces itself:
    # the code that runs in the function may not.
    join-vpc = flatten([for vpc in var.vpc[*] : [
      {
        Effect   = "Allow"
        Action   = local.network_interface_actions
        Resource = ["*"]
      },
      {
        Effect    = "Deny"
        Action    = local.network_interface_actions
        Resource  = ["*"]
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
      },
    ]])
  }

  network_interface_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:UnassignPrivateIpAddresses",
  ]
}

resource "aws_iam_role" "forwarder" {
  name                 = local.function_name
  description          = "Lambda delivers webhooks of ${var.environment} from their queue"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "forwarder" {
  for_each = { for name, statements in local.policies : name => statements if length(statements) > 0 }

  name   = each.key
  role   = aws_iam_role.forwarder.name
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

# What anybody adds to the role by hand is taken off by the next apply.
resource "aws_iam_role_policies_exclusive" "forwarder" {
  role_name    = aws_iam_role.forwarder.name
  policy_names = [for policy in values(aws_iam_role_policy.forwarder) : policy.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "forwarder" {
  role_name   = aws_iam_role.forwarder.name
  policy_arns = []
}
