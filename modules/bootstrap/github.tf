resource "aws_iam_openid_connect_provider" "github" {
  count = var.oidc_provider_arn == null ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  oidc_provider_arn = var.oidc_provider_arn == null ? aws_iam_openid_connect_provider.github[0].arn : var.oidc_provider_arn

  roles = merge([
    for name, environment in var.environments : {
      "${name}-plan" = {
        environment = name
        subjects    = environment.plan_subjects
        description = "GitHub Actions looks at ${name}"
      }
      "${name}-deploy" = {
        environment = name
        subjects    = environment.deploy_subjects
        description = "GitHub Actions deploys ${name}"
      }
    }
  ]...)
}

resource "aws_iam_role" "github" {
  for_each = local.roles

  name                 = "${var.name}-${each.key}"
  description          = each.value.description
  max_session_duration = 3600

  # Equal, letter by letter: a pattern would let in whoever can name a repository to match it.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = local.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = sort(each.value.subjects)
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = merge([
    for name in keys(var.environments) : merge(
      { for policy in ["read", "read-records", "watch"] : "${name}-plan/${policy}" => "${name}-${policy}" },
      { for policy in ["read", "read-records", "write", "write-roles-and-records"] : "${name}-deploy/${policy}" => "${name}-${policy}" },
    )
  ]...)

  role       = aws_iam_role.github[split("/", each.key)[0]].name
  policy_arn = aws_iam_policy.this[each.value].arn
}

# What anybody adds to the roles by hand is taken off by the next apply.
resource "aws_iam_role_policies_exclusive" "github" {
  for_each = local.roles

  role_name    = aws_iam_role.github[each.key].name
  policy_names = []
}

resource "aws_iam_role_policy_attachments_exclusive" "github" {
  for_each = local.roles

  role_name   = aws_iam_role.github[each.key].name
  policy_arns = [for key, attachment in aws_iam_role_policy_attachment.github : attachment.policy_arn if startswith(key, "${each.key}/")]
}
