resource "aws_iam_role" "ingest" {
  name                 = "${var.environment}-webhook-ingest"
  description          = "API Gateway puts webhooks of ${var.environment} into their queue"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "apigateway.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "send" {
  name = "send-to-webhook-queue"
  role = aws_iam_role.ingest.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [var.queue_arn]
      }],
      [for key in var.kms_key_arn[*] : {
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource = [key]
      }],
    )
  })
}

# What anybody adds to the role by hand is taken off by the next apply.
resource "aws_iam_role_policies_exclusive" "ingest" {
  role_name    = aws_iam_role.ingest.name
  policy_names = [aws_iam_role_policy.send.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "ingest" {
  role_name   = aws_iam_role.ingest.name
  policy_arns = []
}
