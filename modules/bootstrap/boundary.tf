# The most that a role made by a deployment can do: without it, who may make roles and functions
# could make a function that may do anything.
resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_355:a boundary grants nothing; X-Ray and network interfaces know no resources
  #checkov:skip=CKV_AWS_290:a boundary grants nothing; X-Ray and network interfaces know no resources
  #checkov:skip=CKV_AWS_288:a boundary grants nothing; keys are bounded by their own policies
  for_each = local.arns

  name        = "${var.name}-${each.key}-boundary"
  description = "The most that roles of ${each.key} can do"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = [
          "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
          "sqs:ReceiveMessage", "sqs:SendMessage",
        ]
        Resource = concat(each.value.queue, each.value.dead_letter_queue)
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = each.value.log_groups
      },
      {
        Effect    = "Allow"
        Action    = ["lambda:UpdateEventSourceMapping"]
        Resource  = each.value.mappings
        Condition = local.calls_our_function[each.key]
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = each.value.keys
        Condition = {
          StringEquals = {
            "kms:ViaService" = [for service in ["secretsmanager", "sqs", "ssm"] : "${service}.${var.region}.amazonaws.com"]
          }
        }
      },
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue", "ssm:GetParameter"]
        Resource = each.value.secrets
      },
      {
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
          "ec2:DescribeVpcs", "ec2:UnassignPrivateIpAddresses", "xray:PutTelemetryRecords",
          "xray:PutTraceSegments",
        ]
        Resource = ["*"]
      },
    ]
  })
}
