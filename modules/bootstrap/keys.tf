# Alarms cannot be sent by the key that AWS has for SNS, so each environment has one of its own. It is
# made here: who may tag keys or write their policies may take over any key of the account.
resource "aws_kms_key" "alarms" {
  for_each = var.environments

  description             = "Encrypts alarms of ${each.key}-webhook"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountManagesTheKey"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*" # in a key's policy: this key
      },
      {
        Sid       = "CloudWatchSendsAlarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*" # in a key's policy: this key
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

# The name by which modules/monitoring finds it.
resource "aws_kms_alias" "alarms" {
  for_each = var.environments

  name          = "alias/${each.key}-webhook-alarms"
  target_key_id = aws_kms_key.alarms[each.key].key_id
}
