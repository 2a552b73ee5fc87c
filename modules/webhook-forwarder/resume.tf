# `cargo xtask pause ENV --for TIME` makes a schedule that ends the pause, and EventBridge Scheduler
# needs a role for what it does then. The schedule itself is the command's: it comes and goes.
resource "aws_iam_role" "resume" {
  name                 = "${var.environment}-webhook-resume" # by which the command finds it
  description          = "EventBridge Scheduler ends a pause of ${var.environment}"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.queue_arn_parts[4] } }
    }]
  })
}

resource "aws_iam_role_policy" "resume" {
  name = "enable-mapping"
  role = aws_iam_role.resume.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["lambda:UpdateEventSourceMapping"]
      Resource = [aws_lambda_event_source_mapping.queue.arn]
    }]
  })
}

resource "aws_iam_role_policies_exclusive" "resume" {
  role_name    = aws_iam_role.resume.name
  policy_names = [aws_iam_role_policy.resume.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "resume" {
  role_name   = aws_iam_role.resume.name
  policy_arns = []
}
