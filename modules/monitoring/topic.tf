# Made here before bootstrap made it. It stays until somebody deletes it: what was encrypted with it
# may be on its way yet, and who deploys may not delete keys.
removed {
  from = aws_kms_key.alarms

  lifecycle {
    destroy = false
  }
}

resource "aws_sns_topic" "alarms" {
  name = "${var.environment}-webhook-alarms"
  # The alias is bootstrap's: a key of AWS's own would not let CloudWatch in.
  kms_master_key_id = var.kms_key_arn == null ? "alias/${var.environment}-webhook-alarms" : var.kms_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsOfTheAccount"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
      {
        Sid       = "RefusePlainText"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.notifications.emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}
